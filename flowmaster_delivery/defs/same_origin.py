"""Requests that another site's page makes a browser send: refused before Dagster sees them.

Dagster carries out a mutation from any POST, forms included, and from a GET. The session's cookie
is not sent along from foreign sites, but from every host beneath our own domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

READING = ("GET", "HEAD")
OURS = ("same-origin", "none")


def is_foreign(kind: str, method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of another origin made this request; `kind` is http or websocket.

    Following a link is none. Programs send neither header.
    """
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    if site is not None and site not in OURS:
        return not (method in READING and mode == "navigate")
    origin = headers.get("origin")
    changes = kind == "websocket" or method not in READING
    return bool(origin and changes and urlsplit(origin).netloc != headers.get("host"))


class SameOrigin:
    """ASGI middleware that answers 403 to foreign requests, and closes their websockets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        asked = kind in ("http", "websocket")
        if not (asked and is_foreign(kind, scope.get("method", "GET"), Headers(scope=scope))):
            await self._app(scope, receive, send)
        elif kind == "http":
            words = "this request comes from a page of another site; open the UI itself\n"
            await PlainTextResponse(words, status_code=403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 4403})
