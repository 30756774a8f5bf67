"""Dagster, thin: partition keys in, a flow called, results and metadata out. Decides nothing.

Here belong assets, checks, sensors, and what Dagster itself is made to do: executor, coordinator,
event log. Not here: rules (`policy`), steps of the way (`flows`), clients (`adapters`).
"""
