"""An ASGI app of the sandbox on a loopback port, with an event loop of its own in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket

from starlette.types import ASGIApp

from flowmaster_delivery.sandbox.hosting import Server, bind


@contextmanager
def served(
    app: ASGIApp,
    bound: socket,
    beside: Callable[[], Awaitable[None]] | None = None,
    *,
    tls: tuple[Path, Path] | None = None,
) -> Iterator[None]:
    """Serve until the block ends; `beside` (a server's clockwork) runs along and is cancelled.

    `tls` is a certificate and its key.
    """
    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(app, bound, beside, tls, ready, done))
    )
    thread.start()
    try:
        if not ready.wait(10):
            raise TimeoutError("the sandbox's server did not start within 10 s")
        yield
    finally:
        done.set()
        thread.join()


async def _serve(
    app: ASGIApp,
    bound: socket,
    beside: Callable[[], Awaitable[None]] | None,
    tls: tuple[Path, Path] | None,
    ready: threading.Event,
    done: threading.Event,
) -> None:
    certificate, key = tls or (None, None)
    server = Server(app, bound, certificate=certificate, key=key)
    await server.start()
    clockwork = asyncio.ensure_future(beside()) if beside else None
    ready.set()
    await asyncio.to_thread(done.wait)
    if clockwork:
        clockwork.cancel()
        with suppress(asyncio.CancelledError):
            await clockwork
    await server.stop()


__all__ = ["bind", "served"]
