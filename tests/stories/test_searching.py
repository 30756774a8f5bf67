"""The search finds a secret in every kind of place in which the platform could leave one."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote

import pytest

from tests.stories.planted.searching import search

TOKEN = "glpat-abcDEF0123456789ghiJKL"
ADDRESS = "http://127.0.0.1:1/slack/services/T0/B0/x1y2z3x1y2z3x1y2z3"
PASSWORD = 'pass "word" it\'s/+&'
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqG\nSM49AwEHBG0wawIB\n-----END-----\n"
SECRETS = {"token": TOKEN, "address": ADDRESS, "password": PASSWORD, "key": KEY}


def database(value: str | bytes) -> bytes:
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("CREATE TABLE event_logs (id INTEGER, event TEXT)")
        made.execute("INSERT INTO event_logs VALUES (1, ?)", (value,))
        made.commit()
        return made.serialize()


def cursor(text: str) -> str:
    """As the intake sensor packs what it has seen."""
    return base64.b85encode(zlib.compress(text.encode())).decode()


PLACES: dict[str, Callable[[str], bytes]] = {
    "a log": lambda text: f"ERROR {text}\n".encode(),
    "arguments": lambda text: f"python\0--token={text}\0".encode(),
    "a database": database,
    "an event": lambda text: database(json.dumps({"message": f"no: {text}"})),
    "a record in an event": lambda text: database(json.dumps({"r": json.dumps({"a": text})})),
    "deep in a record": lambda text: database(
        json.dumps({"r": json.dumps({"a": json.dumps({"b": text})})})
    ),
    "a packed cursor": lambda text: database(cursor(json.dumps({"api": text}))),
    "a cursor in a tick": lambda text: database(json.dumps({"cursor": cursor(text)})),
    "a compressed blob": lambda text: database(zlib.compress(text.encode())),
    "a compressed log": lambda text: gzip.compress(text.encode()),
    "repr": lambda text: repr({"password": text}).encode(),
    "an address": lambda text: f"http://x/?a={quote(text, safe='')}".encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "a Secret of Kubernetes": lambda text: base64.b64encode(text.encode()),
    "basic authentication": lambda text: base64.b64encode(f"root:{text}".encode()),
    "behind one more": lambda text: base64.b64encode(f"roots:{text}".encode()),
    "base64 amid others": lambda text: base64.b64encode(f"a{text}, and so on".encode()),
    "base64 in base64": lambda text: base64.b64encode(base64.b64encode(f"ab{text}".encode())),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found(name: str, place: str) -> None:
    (found,) = search([("there", PLACES[place](SECRETS[name]))], SECRETS)
    assert (found.name, found.place) == (name, "there")


@pytest.mark.parametrize(
    "half", [TOKEN[:18] + "…", "…" + TOKEN[-12:], TOKEN.removeprefix("glpat-"), ADDRESS[-18:]]
)
def test_half_of_a_secret_is_found(half: str) -> None:
    assert search([("there", half.encode())], SECRETS)


@pytest.mark.parametrize("length", range(60, 64))
def test_what_was_cut_is_opened_as_far_as_it_goes(length: int) -> None:
    inner = base64.b64encode(f"oauth2:{TOKEN}".encode())
    cut = base64.b64encode(b"basic " + inner)[:length]
    assert search([("there", b'{"message": "' + cut + b'\xe2\x80\xa6"}')], SECRETS)


def test_nothing_is_found_where_nothing_is() -> None:
    innocent = json.dumps({"digest": "sha256:" + "ab" * 32, "reason": "pass the word"})
    assert search([("there", database(innocent)), ("log", b"\xff\x00x\x9c" * 99)], SECRETS) == []


def test_all_are_found_in_all_places_each_once() -> None:
    content = f"{TOKEN} {TOKEN} {PASSWORD}".encode()
    found = search([("one", content), ("other", content)], SECRETS)
    assert sorted((f.name, f.place) for f in found) == [
        ("password", "one"),
        ("password", "other"),
        ("token", "one"),
        ("token", "other"),
    ]
