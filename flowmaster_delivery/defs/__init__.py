"""Dagster, thin: partition keys in, a flow called, results and metadata out. Decides nothing."""
