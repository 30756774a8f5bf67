"""A far end that says back what it was sent, credentials and all: some do, in errors and in logs.

One body that the clients of GitLab, Kubernetes, the registry, Prometheus and a service all take for
an answer of theirs, with what was sent wherever such an answer has words.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Literal, get_args
from urllib.parse import quote

from starlette.responses import JSONResponse

Echo = Literal["plain", "base64", "address", "hex"]
ECHOES = get_args(Echo)
WRITERS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "address": lambda text: quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
}
LOUD = ("authorization", "private-token", "x-gitlab-token")
"""Headers that come first: whoever shows the beginning of what a server says shows these."""


def echoed(
    how: Echo, status: int, line: str, headers: Mapping[str, str], body: bytes
) -> JSONResponse:
    """The answer. `line` is the method and the address, query included."""
    first = sorted(headers, key=lambda name: name.lower() not in LOUD)
    sent = "; ".join(f"{name}: {headers[name]}" for name in first)
    words = WRITERS[how](f"{sent}; {line}; {body.decode('utf-8', 'replace')}")
    content = {
        "kind": "Status",
        "status": "error",
        "reason": "Echoed",
        "code": status,
        "message": words,
        "error": words,
        "path": words,
        "errorType": "execution",
        "errors": [{"code": "DENIED", "message": words}],
    }
    return JSONResponse(content, status)
