"""Secrets planted wherever the platform uses one, and a search wherever they could show."""
