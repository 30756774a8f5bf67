"""Looking for secrets: in every form in which they could stand, in everything that can be opened.

Written apart from what hides them, so that a form which that forgets is found by this.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import html
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

PIECE = 12
"""Characters of the beginning and of the end of a secret that are looked for: half of it is one."""
DEPTH = 4
"""How deep what is found in another thing is opened."""
IN_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
IN_BASE85 = re.compile(rb"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{24,}")


@dataclass(frozen=True, slots=True)
class Found:
    """A secret, by its name, where it must not be."""

    name: str
    place: str
    around: str


def search(places: Iterable[tuple[str, bytes]], planted: Mapping[str, str]) -> list[Found]:
    """What is found of the secrets, each once in each place."""
    needles = {name: needles_of(value) for name, value in planted.items()}
    found: dict[tuple[str, str], Found] = {}
    for place, content in places:
        for view in views(content):
            for name, looked_for in needles.items():
                at = next((i for i in map(view.find, looked_for) if i >= 0), None)
                if at is not None:
                    around = view[max(0, at - 80) : at + 80].decode("utf-8", "replace")
                    found.setdefault((name, place), Found(name, place, around))
    return list(found.values())


def needles_of(secret: str) -> tuple[bytes, ...]:
    """The beginning and the end of each part of a secret, however they are written."""
    found: set[bytes] = set()
    for part in parts_of(secret):
        for piece in (part[:PIECE], part[-PIECE:]):
            found |= {text.encode() for text in _written(piece)}
        found |= set(_in_base64(part.encode()))
    return tuple(sorted(found))


def parts_of(secret: str) -> Iterator[str]:
    """What of it is a secret by itself: a token without its scheme, the end of an address."""
    if "-----BEGIN" in secret:
        yield from (line for line in secret.splitlines() if not line.startswith("-----"))
        return
    if secret.startswith("http"):
        yield secret.rpartition("/")[2]
        return
    for prefix in ("Bearer ", "whsec_", "glpat-"):
        secret = secret.removeprefix(prefix)
    yield secret


def _written(piece: str) -> Iterator[str]:
    yield piece
    yield json.dumps(piece)[1:-1]
    yield json.dumps(json.dumps(piece)[1:-1])[1:-1]
    yield repr(piece)[1:-1]
    yield html.escape(piece)
    yield from (quote(piece), quote(piece, safe=""), quote_plus(piece))
    yield from (piece.encode().hex(), piece.encode().hex().upper())


def _in_base64(content: bytes) -> Iterator[bytes]:
    """Beginning and end as they stand in base64 behind none, one and two other bytes."""
    for before in range(3):
        cut = (3 - before) % 3
        encoded = base64.b64encode(content[cut : len(content) - (len(content) - cut) % 3])
        for piece in (encoded[:16], encoded[-16:]):
            yield from (piece, piece.translate(bytes.maketrans(b"+/", b"-_")))


def views(content: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """The content, and what stands in it once it is opened: rows, archives, encodings."""
    yield content
    if depth:
        for opened in _opened(content):
            yield from views(opened, depth - 1)


def _opened(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"SQLite format 3\0"):
        yield from _rows(content)
        return
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
        return
    if content[:1] == b"x" and (inflated := _inflated(content)) is not None:
        yield inflated
        return
    texts = "\n".join(_texts(content)).encode()
    if texts:
        yield texts
    yield from _decoded(content)


def _rows(content: bytes) -> Iterator[bytes]:
    """Every value of every table; those of one table as one text, blobs alone."""
    with closing(sqlite3.connect(":memory:")) as database:
        # Without the mark that it has a write-ahead log, which is a file of its own.
        database.deserialize(content[:18] + b"\x01\x01" + content[20:])
        database.text_factory = bytes
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (table,) in database.execute(tables).fetchall():
            for row in database.execute(f'SELECT * FROM "{table.decode()}"'):  # noqa: S608
                yield from (value for value in row if isinstance(value, bytes) and value)


def _texts(content: bytes) -> Iterator[str]:
    """All texts of a JSON value: one level of its escapes is gone."""
    try:
        value = json.loads(content)
    except ValueError:
        return
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one


def _decoded(content: bytes) -> Iterator[bytes]:
    """What is base64 or base85 of something that can be read or inflated."""
    for token in IN_BASE64.findall(content):
        whole = token.rstrip(b"=")
        whole = whole[: len(whole) - (len(whole) % 4 == 1)]  # what was cut may end anywhere
        for altchars in (b"+/", b"-_"):
            try:
                opened = base64.b64decode(whole + b"=" * (-len(whole) % 4), altchars, validate=True)
            except binascii.Error:
                continue
            if (inflated := _inflated(opened)) is not None:
                yield inflated
            elif opened.isascii() and opened.decode().isprintable():
                yield opened
    for token in IN_BASE85.findall(content):
        try:
            inflated = _inflated(base64.b85decode(token))
        except ValueError:
            continue
        if inflated is not None:
            yield inflated


def _inflated(content: bytes) -> bytes | None:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return None
