"""Serving an ASGI app on a port of this machine, from within an event loop that runs already."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LOOPBACK = "127.0.0.1"
GRACE = 0.5
"""Seconds that open requests get when a server stops; a watch would take for ever."""
SKEW = "flowmaster.skew"
"""Key of the ASGI scope for the seconds that the server's clock is ahead."""
ABORT = "flowmaster.abort"
"""Key of the ASGI scope under which a connection's own `abort` stands."""


def bind(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """A listening address of our own; port 0 takes a free one. OSError where it is taken."""
    # With the protocol named: asyncio sets TCP_NODELAY on no other socket, and without it each
    # answer in two parts (headers, body) waits 40 ms for a delayed acknowledgement.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"port {port} on {host}: {error.strerror}") from error
    return bound


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


async def drop(scope: Scope, receive: Receive) -> None:
    """Close the connection without an answer, as a server that crashes does."""
    abort = scope.get(ABORT)
    if abort is None:
        raise ConnectionAbortedError("the sandbox was told to drop this connection")
    abort()
    while (await receive())["type"] != "http.disconnect":
        pass


class Server:
    """One app on one address. `start` returns when it answers; open requests end with it."""

    def __init__(
        self,
        app: ASGIApp,
        bound: socket.socket,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self._bound = bound
        self._task: asyncio.Task[None] | None = None
        self._server = _Quiet(
            uvicorn.Config(
                _dated(app),
                http=_Abortable,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=5,
                timeout_keep_alive=60,
                backlog=512,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )

    @property
    def port(self) -> int:
        return port_of(self._bound)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise RuntimeError(f"the server on port {self.port} ended before it answered")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=GRACE)
            for connection in list(self._server.server_state.connections):
                cast("_Abortable", connection).transport.abort()
            await self._task
        self._bound.close()


def _dated(app: ASGIApp) -> ASGIApp:
    """With the Date of each answer, by a clock that a fault may put ahead."""

    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                shown = formatdate(time.time() + scope.get(SKEW, 0.0), usegmt=True)
                message["headers"] = [*message.get("headers", ()), (b"date", shown.encode())]
            await send(message)

        await app(scope, receive, send_dated)

    return dated


class _Quiet(uvicorn.Server):
    """Leaves signals to who started the sandbox."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Abortable(HttpToolsProtocol):
    """Gives each request's scope the means to cut its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = cast("ASGIApp", self.app)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[ABORT] = transport.abort
            await inner(scope, receive, send)

        self.app = app
