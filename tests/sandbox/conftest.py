"""Speaking to one ASGI app without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

import httpx
import pytest
from starlette.types import ASGIApp

T = TypeVar("T")


class AppClient:
    """httpx over one ASGI app, with an event loop of its own, used like `httpx.Client`."""

    def __init__(self, app: ASGIApp, base_url: str, runner: asyncio.Runner) -> None:
        transport = httpx.ASGITransport(app=app)
        self._client = httpx.AsyncClient(transport=transport, base_url=base_url)
        self._runner = runner

    def run(self, work: Awaitable[T]) -> T:
        async def waited() -> T:
            return await work

        return self._runner.run(waited())

    def request(self, method: str, path: str, **more: object) -> httpx.Response:
        return self.run(self._client.request(method, path, **more))  # type: ignore[arg-type]

    def get(self, path: str, **more: object) -> httpx.Response:
        return self.request("GET", path, **more)

    def head(self, path: str, **more: object) -> httpx.Response:
        return self.request("HEAD", path, **more)

    def put(self, path: str, **more: object) -> httpx.Response:
        return self.request("PUT", path, **more)

    def post(self, path: str, **more: object) -> httpx.Response:
        return self.request("POST", path, **more)

    def patch(self, path: str, **more: object) -> httpx.Response:
        return self.request("PATCH", path, **more)

    def delete(self, path: str, **more: object) -> httpx.Response:
        return self.request("DELETE", path, **more)

    def close(self) -> None:
        self.run(self._client.aclose())


@pytest.fixture
def client_of() -> Iterator[Callable[..., AppClient]]:
    """Makes clients: `client_of(app)` or `client_of(app, "http://host:port")`."""
    with ExitStack() as stack, asyncio.Runner() as runner:

        def make(app: ASGIApp, base_url: str = "http://127.0.0.1") -> AppClient:
            client = AppClient(app, base_url, runner)
            stack.callback(client.close)
            return client

        yield make
        stack.close()
