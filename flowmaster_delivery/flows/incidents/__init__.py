"""Incidents: opened, decided by rules or by people, carried out, and told."""
