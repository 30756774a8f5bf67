"""HTTP looks at public addresses."""

from __future__ import annotations

import asyncio
import time

import httpx

from flowmaster_delivery.adapters.wire import AGENT, excerpt, on_loopback, trusted_authorities
from flowmaster_delivery.model.health import ProbeResult


class HttpProbe:
    """GETs as a client of the service would make them: a new connection, no redirect, no body read.

    asyncio only for its time limit, which holds for the whole look; httpx's own would begin anew
    with every byte of a server that dribbles.
    """

    def get(self, url: str, timeout: float) -> ProbeResult:
        """Look once, for `timeout` seconds at most (a name is resolved in the system's own time).

        Call it from a thread without an event loop.
        """
        started = time.monotonic()
        status, error = None, ""
        try:
            status = asyncio.run(asyncio.wait_for(self._status(url), timeout))
        except TimeoutError:
            error = f"no answer within {timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as failure:
            error = excerpt(str(failure) or type(failure).__name__)
        return ProbeResult(url, status, time.monotonic() - started, error)

    async def _status(self, url: str) -> int:
        async with (
            httpx.AsyncClient(
                verify=trusted_authorities(),
                trust_env=not on_loopback(url),
                headers={"User-Agent": f"{AGENT} health"},
                timeout=None,  # noqa: S113  # the limit is around the whole
            ) as client,
            client.stream("GET", url) as response,
        ):
            return response.status_code
