"""A secret is found however it is written, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowmaster_delivery.redaction.forms import HIDDEN, SHORTEST, forms_of, without, without_shapes

SECRET = "p@ss/w\"rd+ä'\\~<1>"
WRITERS = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "HTML": html.escape,
    "a query": quote_plus,
    "a path": quote,
    "a segment": lambda text: quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind one byte": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64 behind two bytes": lambda text: base64.b64encode(b"xy" + text.encode()).decode(),
    "base64 of a user and it": lambda text: base64.b64encode(f"root:{text}".encode()).decode(),
    "base64 amid others": lambda text: base64.b64encode(f"a{text}bcd".encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


def ordered(secret: str) -> list[str]:
    return sorted(forms_of(secret), key=len, reverse=True)


@pytest.mark.parametrize("writing", WRITERS)
def test_a_secret_is_hidden_however_it_is_written(writing: str) -> None:
    text = f"before {WRITERS[writing](SECRET)} behind"
    shown = without(ordered(SECRET), text)
    assert shown.startswith("before ")
    assert shown.endswith(" behind")
    assert HIDDEN in shown
    assert not any(form in shown for form in forms_of(SECRET))


@given(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=SHORTEST),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_secret_is_left_in_any_text(secret: str, before: str, behind: str) -> None:
    assume(HIDDEN[0] not in secret)
    assert secret not in without(ordered(secret), before + secret + behind)
    encoded = base64.b64encode((before + secret).encode()).decode()
    assert any(form in encoded for form in forms_of(secret))


@given(st.text(max_size=SHORTEST - 1))
def test_what_is_too_short_to_be_told_apart_is_not_looked_for(secret: str) -> None:
    assert not forms_of(secret)


def test_of_an_address_that_is_a_secret_its_end_alone_is_hidden_too() -> None:
    forms = ordered("https://chat.example/services/T000/B000/x1y2z3x1y2z3")
    assert without(forms, "POST /services/T000/B000/x1y2z3x1y2z3 failed") == f"POST {HIDDEN} failed"
    assert without(forms, "no x1y2z3x1y2z3 here") == f"no {HIDDEN} here"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("git clone https://root:hunter2@host/a.git", "git clone https://root:•••@host/a.git"),
        ("token glpat-abcdefghij0123456789 is bad", "token ••• is bad"),
        ("https://hooks.slack.com/services/T/B/x1 500", "https://hooks.slack.com/services/••• 500"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: Bearer •••"),
        ("Authorization: Basic cm9vdDpodW50ZXIyaHVudGVy", "Authorization: Basic •••"),
        ("whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "•••"),
        ("eyJhbGciOiJSUzI1.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl-_x", "•••"),
    ],
)
def test_what_is_a_secret_by_its_looks_is_hidden_though_nobody_read_it(
    text: str, shown: str
) -> None:
    assert without_shapes(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "glossary-service-frontend in production",
        "https://gitlab.example:8443/group/project",
        "https://host/a?b=c:d@e",
        'Basic realm="registry"',
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "docker login root:x@",
    ],
)
def test_what_only_resembles_one_stays(text: str) -> None:
    assert without_shapes(text) == text
