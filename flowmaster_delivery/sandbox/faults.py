"""Faults on order: a middleware in front of every server that is slow, refuses, or hangs up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flowmaster_delivery.sandbox.echo import ECHOES, Echo, echoed
from flowmaster_delivery.sandbox.hosting import SKEW, drop

DELAY_LIMIT = 300.0
"""Seconds; a longer wait would outlive any client's patience."""


@dataclass(slots=True)
class Fault:
    """One order. Requests to `server` (a shell pattern) whose path matches wait `delay` seconds;
    then they are cut off (`drop`), told back what they sent (`echo`, with `status`), answered with
    `status`, or served as usual where none is set. The server's clock is `skew` seconds ahead.

    `times` is how many requests it still applies to, None without end.
    """

    server: str = "*"
    match: str = "*"
    header: str = ""
    """Only requests that carry this one: those with credentials, say."""
    method: str = "*"
    status: int | None = None
    delay: float = 0.0
    drop: bool = False
    echo: Echo | None = None
    times: int | None = None
    retry_after: int | None = None
    skew: float = 0.0
    id: int = 0
    hits: int = 0

    def applies(
        self, server: str, method: str, path: str, headers: Container[str] = frozenset()
    ) -> bool:
        return (
            self.times != 0
            and (not self.header or self.header.lower() in headers)
            and fnmatchcase(server, self.server)
            and fnmatchcase(method, self.method.upper())
            and fnmatchcase(path, self.match)
        )

    def spend(self) -> None:
        self.hits += 1
        if self.times is not None:
            self.times -= 1


@dataclass(slots=True)
class Faults:
    """All faults in force; the newest that applies is the one that acts."""

    _faults: list[Fault] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, fault: Fault) -> Fault:
        """Raise ValueError for an order that cannot be carried out."""
        if fault.status is not None and not 100 <= fault.status <= 599:
            raise ValueError(f"status {fault.status} is no HTTP status: take 100 to 599")
        if fault.echo is not None and fault.echo not in ECHOES:
            raise ValueError(f"echo {fault.echo!r} is no way of writing: take {', '.join(ECHOES)}")
        if not 0 <= fault.delay <= DELAY_LIMIT:
            raise ValueError(f"delay {fault.delay} is out of bounds: 0 to {DELAY_LIMIT:g} seconds")
        fault.id = next(self._ids)
        self._faults.append(fault)
        return fault

    def take(
        self, server: str, method: str, path: str, headers: Container[str] = frozenset()
    ) -> Fault | None:
        """The fault that this request suffers, counted as used. `headers` in lower case."""
        for fault in reversed(self._faults):
            if fault.applies(server, method, path, headers):
                fault.spend()
                return fault
        return None

    def listed(self) -> tuple[Fault, ...]:
        return tuple(self._faults)

    def clear(self, server: str = "*") -> None:
        """Take back the orders for a server, as it was named in them; `*` takes back all."""
        self._faults = [f for f in self._faults if server not in ("*", f.server)]


@dataclass(frozen=True, slots=True)
class FaultyApp:
    """An app behind its faults. `server` is the name that orders call it by."""

    app: ASGIApp
    server: str
    faults: Faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http":
            headers = {name.decode("latin-1") for name, _ in scope["headers"]}
            fault = self.faults.take(self.server, scope["method"], scope["path"], headers)
        if fault is None:
            await self.app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay)
        scope[SKEW] = fault.skew
        if fault.drop:
            await drop(scope, receive)
        elif fault.echo is not None:
            await _echo(fault.echo, fault.status or 500, scope, receive, send)
        elif fault.status is None:
            await self.app(scope, receive, send)
        else:
            await _refusal(fault)(scope, receive, send)


async def _echo(how: Echo, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    line, body = f"{request.method} {request.url}", await request.body()
    await echoed(how, status, line, request.headers, body)(scope, receive, send)


def _refusal(fault: Fault) -> JSONResponse:
    words = "the sandbox was told to answer this way"
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return JSONResponse({"message": words}, fault.status or 500, headers=headers)
