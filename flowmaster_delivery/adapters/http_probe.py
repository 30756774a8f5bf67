"""HTTP looks at public addresses, and the calls of smoke tests."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import time
from collections.abc import Coroutine, Mapping
from typing import TypeVar

import httpx

from flowmaster_delivery.adapters.wire import (
    AGENT,
    MEGABYTE,
    excerpt,
    on_loopback,
    trusted_authorities,
)
from flowmaster_delivery.model.errors import Malformed, Permanent, Transient, Unreachable
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.ports import HttpAnswer, HttpCall

T = TypeVar("T")


class HttpProbe:
    """Asks as a client of the service would: a new connection, no redirect, nothing twice.

    asyncio only for its time limit, which holds for the whole look; httpx's own would begin anew
    with every byte of a server that dribbles. Call it from a thread without an event loop.
    """

    def get(self, url: str, timeout: float) -> ProbeResult:
        """Look once, for `timeout` seconds at most (a name is resolved in the system's own time);
        no body is read."""
        started = time.monotonic()
        status, error = None, ""
        try:
            status = _within(timeout, _status(url))
        except TimeoutError:
            error = f"no answer within {timeout:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as failure:
            error = excerpt(str(failure) or type(failure).__name__)
        return ProbeResult(url, status, time.monotonic() - started, error)

    def call(self, request: HttpCall, timeout: float) -> HttpAnswer:
        """Send once and read the answer, of a megabyte at most, in `timeout` seconds in all.

        No error carries a header or a body, and none has a cause: both may hold secrets.
        """
        started = time.monotonic()
        try:
            status, body = _within(timeout, _answer(request))
        except TimeoutError:
            raise Unreachable(f"no answer within {timeout:g} s") from None
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL):
            raise Permanent("the request cannot be sent; check address and headers") from None
        except (httpx.ProxyError, httpx.ConnectError) as error:
            raise _not_connected(error) from None
        except httpx.HTTPError as error:
            raise Unreachable(excerpt(str(error) or type(error).__name__)) from None
        except (OSError, ValueError) as error:
            raise Permanent(f"the request cannot be sent ({type(error).__name__})") from None
        return HttpAnswer(status, _json(body), time.monotonic() - started)


def _within(timeout: float, work: Coroutine[object, object, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, timeout))


def _client(url: str, headers: Mapping[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(  # nosec B113  # the limit is around the whole
        verify=trusted_authorities(),
        trust_env=not on_loopback(url),
        headers=dict(headers),
        timeout=None,  # noqa: S113  # the limit is around the whole
    )


async def _status(url: str) -> int:
    headers = {"User-Agent": f"{AGENT} health"}
    async with _client(url, headers) as client, client.stream("GET", url) as response:
        return response.status_code


async def _answer(request: HttpCall) -> tuple[int, bytes]:
    """Status and body; Malformed where that is larger than anything a smoke test reads."""
    headers = {"User-Agent": f"{AGENT} smoke", **request.headers}
    content = None if request.body is None else json.dumps(request.body).encode()
    if content is not None:
        headers.setdefault("Content-Type", "application/json")
    async with (
        _client(request.url, headers) as client,
        client.stream(request.method, request.url, content=content) as response,
    ):
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MEGABYTE:
                raise Malformed("the answer is larger than a megabyte")
        return response.status_code, bytes(body)


def _not_connected(error: httpx.TransportError) -> Transient:
    """Refused is the far end's doing; a proxy of ours and a name without address are not."""
    if isinstance(error, httpx.ProxyError):
        return Transient("the proxy did not let us through")
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, socket.gaierror):
            return Transient(f"the name of its address cannot be resolved: {below.strerror}")
        if isinstance(below, OSError) and below.errno == errno.ENETUNREACH:
            return Transient("this machine has no network that leads there")
        below = below.__cause__ or below.__context__
    return Unreachable(excerpt(str(error)) or "the connection was refused")


def _json(body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value
