"""How a secret may look in a text: as it is, or as the wire, JSON, HTML, Python write it. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, urlsplit

HIDDEN = "•••"
SHORTEST = 8
"""Characters of what is hidden. What is shorter stands in innocent words too, and hiding it would
tell where."""

SHAPES = tuple(
    (beginning, re.compile(shape))
    for beginning, shape in (
        ("://", r"(://[^/\s:@\"']*:)[^/\s@\"']+(?=@)"),  # the password in an address
        ("hooks.slack.com/", r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s\"'<>\\]+"),
        (
            "gl",
            r"()gl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|wt|soat|ffct)-[\w.-]{16,}",
        ),  # GitLab's
        ("whsec_", r"()whsec_[A-Za-z0-9+/=_-]{16,}"),
        ("xox", r"()xox[a-z]-[\w-]{10,}"),
        ("eyJ", r"()eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"),  # JSON web tokens, Kubernetes' among them
        ("earer ", r"(earer )[\w.~+/=-]{20,}"),
        ("asic ", r"(asic )[\w.~+/=-]{20,}"),
    )
)
"""What is a secret by its looks, though nobody here has read it; the first group stays. Each has a
beginning by which most texts are done with at once: every event that is stored comes by here."""


def forms_of(secret: str) -> frozenset[str]:
    """Every way of writing it that is looked for; none where it is too short to be told apart."""
    return frozenset(form for form in _forms(secret) if len(form) >= SHORTEST)


def without(forms: Iterable[str], text: str) -> str:
    """The text with none of these forms in it; `forms` are ordered, the longest first."""
    for form in forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text


def without_shapes(text: str) -> str:
    """The text without what is a secret by its looks."""
    for beginning, shape in SHAPES:
        if beginning in text:
            text = shape.sub(rf"\1{HIDDEN}", text)
    return text


def _forms(secret: str) -> Iterator[str]:
    if len(secret) < SHORTEST:
        return
    for part in (secret, *_of_address(secret)):
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(part)[1:-1]
        yield repr(part.encode())[2:-1]
        yield html.escape(part)
        yield from (quote(part), quote(part, safe=""), quote_plus(part))
        yield from (part.encode().hex(), part.encode().hex().upper())
        yield from _in_base64(part.encode())


def _of_address(secret: str) -> Iterator[str]:
    """Of an address that is a secret (Slack's) its path, and the end of it, which alone is one."""
    if secret.startswith(("http://", "https://")):
        path = urlsplit(secret).path
        yield from (part for part in (path, path.rpartition("/")[2]) if len(part) >= SHORTEST)


def _in_base64(content: bytes) -> Iterator[str]:
    """What of it stands in base64, wherever in a longer text it begins (`user:password`)."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content).decode()
        own = encoded[(before * 8 + 5) // 6 : (before + len(content)) * 8 // 6]
        yield from (own, own.replace("+", "-").replace("/", "_"))
