"""Tokens and addresses that are remembered: for how long, how many, and what of them."""

from __future__ import annotations

import pytest

from flowmaster_delivery.web import known as module
from flowmaster_delivery.web.known import (
    CAPACITY,
    FAILURES,
    FRESH,
    TRUSTED,
    WINDOW,
    Failures,
    Known,
)


def test_a_reader_is_known_for_a_minute() -> None:
    known = Known()
    known.remember("a token", "sam", 100.0)
    assert known.reader("a token", 100.0 + FRESH - 1) == "sam"
    assert known.reader("a token", 100.0 + FRESH) is None
    assert known.reader("another", 100.0) is None


def test_a_token_is_trusted_for_an_hour_and_forgotten_at_once() -> None:
    known = Known()
    known.remember("a token", "sam", 100.0)
    assert known.trusts("a token", 100.0 + TRUSTED - 1)
    assert not known.trusts("a token", 100.0 + TRUSTED)
    known.forget("a token")
    assert not known.trusts("a token", 100.0)
    assert known.reader("a token", 100.0) is None


def test_no_token_is_kept() -> None:
    known = Known()
    known.remember("a-secret-token", "sam", 100.0)
    assert b"a-secret-token" not in b"".join(known._proofs)
    assert "a-secret-token" not in repr(known)


def test_two_processes_keep_different_hashes_of_a_token() -> None:
    one, other = Known(), Known()
    one.remember("a token", "sam", 100.0)
    other.remember("a token", "sam", 100.0)
    assert set(one._proofs) != set(other._proofs)


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPACITY", 3)
    known, failures = Known(), Failures()
    for number in range(5):
        known.remember(f"token {number}", "sam", 100.0)
        failures.begin(f"10.0.0.{number}", 100.0)
    assert [known.reader(f"token {n}", 100.0) for n in range(5)] == [
        None,
        None,
        "sam",
        "sam",
        "sam",
    ]
    assert len(failures._at) == 3
    assert CAPACITY > 3


def test_so_many_may_fail_and_then_must_wait() -> None:
    failures = Failures()
    assert [failures.begin("a", 100.0) for _ in range(FAILURES)] == [None] * FAILURES
    assert failures.begin("a", 110.0) == WINDOW - 10
    assert failures.begin("b", 110.0) is None
    assert failures.begin("a", 100.0 + WINDOW) is None


def test_who_succeeds_uses_up_no_try() -> None:
    failures = Failures()
    for _ in range(3 * FAILURES):
        assert failures.begin("a", 100.0) is None
        failures.succeeded("a")


def test_an_address_that_is_forgotten_meanwhile_may_succeed() -> None:
    failures = Failures()
    failures.succeeded("a")
    assert failures.begin("a", 100.0) is None
