"""Entries of the audit trail: their one form, their limits, their heads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from flowmaster_delivery.model.audit import (
    START,
    Action,
    AuditEntry,
    Channel,
    Deed,
    Head,
    Result,
    Whence,
    chained,
    entry_of,
    fields_of,
    line_of,
    plain,
)
from flowmaster_delivery.model.errors import Malformed, Permanent

KEY = "a key that is long enough"
NOW = datetime(2026, 3, 2, 12, 0, 0, 5, tzinfo=UTC)


def deed(**changes: object) -> Deed:
    given: dict[str, object] = {
        "action": Action.HOLD_PLACED,
        "result": Result.ACCEPTED,
        "at": NOW,
        "whence": Whence(Channel.API, "10.0.0.7"),
        "who": "dana",
        "via": "token",
        "environment": "production",
        "services": ("api",),
        "reason": "5xx",
    }
    return Deed(**{**given, **changes})  # type: ignore[arg-type]


def test_an_entry_names_the_one_before_it_and_who_did_what_why_when_and_from_where() -> None:
    first = chained(deed(), START, KEY)
    second = chained(deed(who="sam"), first.head, KEY)
    said = fields_of(second)
    assert (said["sequence"], said["previous"]) == (2, first.hash)
    assert said["at"] == "2026-03-02T12:00:00.000005+00:00"
    named = ("who", "via", "action", "channel", "address", "reason", "services")
    assert [said[name] for name in named] == [
        "sam", "token", "hold_placed", "api", "10.0.0.7", "5xx", ["api"],
    ]  # fmt: skip


def test_the_same_deed_makes_the_same_entry_wherever_the_clock_stands() -> None:
    abroad = NOW.astimezone(timezone(timedelta(hours=9)))
    turned = deed(details={"b": "2", "a": "1"})
    assert chained(deed(at=abroad), START, KEY) == chained(deed(), START, KEY)
    assert chained(turned, START, KEY) == chained(deed(details={"a": "1", "b": "2"}), START, KEY)


def test_an_exported_line_is_the_entry_again_whatever_the_order_of_its_keys() -> None:
    entry = chained(deed(reason="Grüße"), START, KEY)
    line = json.dumps(dict(reversed(line_of(entry).items())), ensure_ascii=False, indent=1)
    assert entry_of(line) == entry


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"hash": "a", "seal": "b"}',
        '{"hash": 1, "seal": "b", "sequence": 1}',
        '{"hash": "a", "seal": "b", "sequence": "1"}',
        '{"hash": "a", "seal": "b", "sequence": true}',
        '{"hash": "a", "seal": "\\ud800", "sequence": 1}',
        '{"hash": "a", "seal": "b", "sequence": 1, "who": "eve", "who": "dana"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_line_of_the_trail_is_said_to_be_none(line: str) -> None:
    with pytest.raises(Malformed, match="audit trail"):
        entry_of(line)


def test_what_is_stored_and_no_entry_cannot_be_read() -> None:
    with pytest.raises(Malformed):
        line_of(AuditEntry(1, "{", "", ""))


def test_what_people_wrote_has_limits_and_no_signs_that_a_terminal_obeys() -> None:
    nasty = "a\x1b[31mred\x07\r\nnext\u202eback\ud800\x00"
    entry = chained(
        deed(
            who=nasty,
            reason="x" * 10_000,
            gates=("g",) * 100,
            services=("s",) * 2000,
            details={str(n): "v" for n in range(100)},
        ),
        START,
        KEY,
    )
    said = fields_of(entry)
    assert entry.content.isascii()
    assert said["who"] == "a [31mred next back"
    assert len(str(said["reason"])) == 2000
    lengths = [len(said[name]) for name in ("gates", "services", "details")]  # type: ignore[arg-type]
    assert lengths == [60, 1000, 60]


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert plain("soak: 31 h of 48 h - bis morgen", 256) == "soak: 31 h of 48 h - bis morgen"
    assert plain("x" * 256, 256) == "x" * 256
    assert plain("x" * 257, 256) == "x" * 255 + "…"


def test_a_head_is_read_as_it_is_printed() -> None:
    head = chained(deed(), START, KEY).head
    assert Head.of(str(head)) == head
    assert Head.of(f" {head}\n") == head


SOME_HASH = "a" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "7:",
        f"x:{SOME_HASH}",
        f"-1:{SOME_HASH}",
        f"²:{SOME_HASH}",
        f"7:{SOME_HASH.upper()}",
        f"7:{SOME_HASH[:-1]}",
        f"{'9' * 30}:{SOME_HASH}",
    ],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="SEQUENCE:HASH"):
        Head.of(text)


def test_a_key_that_could_be_guessed_seals_nothing() -> None:
    with pytest.raises(Permanent, match="too short"):
        chained(deed(), START, "short")
