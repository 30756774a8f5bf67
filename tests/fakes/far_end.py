"""A tiny HTTP server that answers as it is told: for far ends that misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """`body` that is no bytes is sent as JSON. `delay` is in seconds, before anything is sent."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False
    """Close the connection instead of answering."""
    cut: int = 0
    """Bytes of the body that are announced and never sent."""
    dribble: float = 0.0
    """Seconds between the bytes of the body."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def kind(self) -> str:
        return "text/plain" if isinstance(self.body, bytes) else "application/json"


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)


class FarEnd:
    """Answers of one path are used in turn; the last one stays. What nobody told is a bare 404."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[tuple[str, str], list[Reply]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def say(self, path: str, *replies: Reply, method: str = "GET") -> None:
        """`path` as it comes over the wire, still quoted, without the query."""
        self._replies[method, path] = list(replies)

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        replies = self._replies.get((asked.method, asked.path), [Reply(status=404)])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                asked = Asked(self.command, self.path, dict(self.headers.items()), body)
                send(self, far_end.reply(asked))

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

            do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = do_DELETE = answer  # noqa: N815

        return Handler


def send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    time.sleep(reply.delay)
    if reply.hang_up:
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    headers = {"Content-Type": reply.kind, **reply.headers}
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(reply.content) + reply.cut))
    handler.end_headers()
    if handler.command == "HEAD":
        return
    try:
        for chunk in _chunks(reply):
            handler.wfile.write(chunk)
            handler.wfile.flush()
            time.sleep(reply.dribble)
    except OSError:
        handler.close_connection = True  # the other side had enough


def _chunks(reply: Reply) -> list[bytes]:
    content = reply.content
    return [bytes([byte]) for byte in content] if reply.dribble else [content]
