"""One HTTP client for servers on this machine: no proxies, no certificates to load each time."""

from __future__ import annotations

from functools import cache

import httpx


@cache
def client() -> httpx.Client:
    """Shared by all threads of the process. Give calls that may take long a `timeout`."""
    return httpx.Client(trust_env=False, timeout=20)
