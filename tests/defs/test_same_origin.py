"""Requests that a foreign page makes a browser send."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from flowmaster_delivery.defs.same_origin import SameOrigin, is_foreign

OURS = {"host": "delivery.example", "origin": "https://delivery.example"}


@pytest.mark.parametrize(
    ("kind", "method", "headers"),
    [
        ("http", "POST", {"host": "delivery.example"}),
        ("http", "POST", OURS),
        ("http", "POST", {**OURS, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}),
        ("http", "GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("http", "GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("http", "HEAD", {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}),
        ("http", "GET", {"host": "delivery.example", "origin": "https://other.example"}),
        ("websocket", "GET", OURS),
        ("websocket", "GET", {"host": "delivery.example"}),
    ],
    ids=[
        "a program",
        "an older browser",
        "the UI",
        "typed in",
        "a link",
        "a link's preview",
        "reading as another origin",
        "the UI's websocket",
        "a program's websocket",
    ],
)
def test_what_is_ours_passes(kind: str, method: str, headers: dict[str, str]) -> None:
    assert not is_foreign(kind, method, headers)


@pytest.mark.parametrize(
    ("kind", "method", "headers"),
    [
        ("http", "POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("http", "POST", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}),
        ("http", "GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}),
        ("http", "GET", {"sec-fetch-site": "nonsense"}),
        ("http", "POST", {**OURS, "origin": "https://other.example"}),
        ("http", "POST", {**OURS, "origin": "null"}),
        ("http", "POST", {**OURS, "origin": "https://delivery.example:8443"}),
        ("websocket", "GET", {**OURS, "origin": "https://other.example"}),
        ("websocket", "GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "websocket"}),
    ],
    ids=[
        "a form",
        "a neighbour's script",
        "a neighbour's image",
        "an unknown word",
        "an older browser's form",
        "a sandboxed frame",
        "another port",
        "an older browser's websocket",
        "a websocket",
    ],
)
def test_what_another_page_sends_is_foreign(
    kind: str, method: str, headers: dict[str, str]
) -> None:
    assert is_foreign(kind, method, headers)


def test_a_foreign_request_does_not_reach_the_application() -> None:
    reached = []

    async def answer(request: Request) -> PlainTextResponse:
        reached.append(request.url.path)
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/graphql", answer, methods=["POST"])])
    with TestClient(SameOrigin(app)) as client:
        foreign = client.post("/graphql", headers={"sec-fetch-site": "cross-site"})
        ours = client.post("/graphql", headers={"sec-fetch-site": "same-origin"})
    assert (foreign.status_code, ours.text) == (403, "done")
    assert reached == ["/graphql"]


def test_a_foreign_websocket_is_closed_before_it_is_accepted() -> None:
    sent: list[Any] = []

    async def never(scope: object, receive: object, send: object) -> None:
        raise AssertionError("a foreign websocket reached the application")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "headers": [(b"origin", b"https://other.example")]}
    asyncio.run(SameOrigin(never)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 4403}]
