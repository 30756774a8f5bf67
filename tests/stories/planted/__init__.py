"""Secrets planted wherever the platform uses one, and the search for them wherever they could show."""
