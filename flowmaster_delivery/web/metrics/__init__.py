"""Metrics of the platform itself, in Prometheus' text form, on a port of their own.

Here belongs what turns the platform's condition into samples. A scrape costs a reading of the
database every quarter of a minute at most, and never a call to GitLab or to a cluster. The number
of series follows the environments, states and sensors of the catalog, never services or runs.

A port of its own, since it is the one thing that a network policy opens to Prometheus alone; the
API's port is open to those who have a token, and metrics ask for none.
"""
