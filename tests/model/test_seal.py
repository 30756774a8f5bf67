"""Seals and grants: what was changed, moved or is late proves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.model.seal import Grant, seal, unseal

KEY = "a key that is long enough"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRANT = Grant("dana", "promote:v1.2.3", "production", NOW + timedelta(minutes=5))


def test_what_was_sealed_opens_with_the_same_key() -> None:
    assert unseal(KEY, seal(KEY, "dana.lee|x")) == "dana.lee|x"


@pytest.mark.parametrize("text", ["", ".", "dana", "dana.", "dana.00ff", "dana." + "é" * 64])
def test_text_without_our_seal_does_not_open(text: str) -> None:
    assert unseal(KEY, text) is None


def test_another_key_does_not_open_it() -> None:
    assert unseal("another key, as long as that", seal(KEY, "dana")) is None


def test_a_changed_text_does_not_open() -> None:
    assert unseal(KEY, seal(KEY, "dana").replace("dana", "devi")) is None


def test_a_key_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(Permanent, match="too short"):
        seal("short", "dana")


def test_a_grant_comes_back_whole() -> None:
    assert Grant.opened(KEY, GRANT.sealed(KEY)) == GRANT


def test_a_grant_covers_its_occasion_and_environment_until_it_expires() -> None:
    assert GRANT.covers("promote:v1.2.3", "production", NOW)
    assert not GRANT.covers("promote:v1.2.4", "production", NOW)
    assert not GRANT.covers("promote:v1.2.3", "staging", NOW)
    assert not GRANT.covers("promote:v1.2.3", "production", NOW + timedelta(minutes=5))


@pytest.mark.parametrize("text", ["", "x", seal(KEY, "a|b"), seal(KEY, "a|b|c|no time")])
def test_what_is_no_grant_is_none(text: str) -> None:
    assert Grant.opened(KEY, text) is None


def test_a_name_with_the_separator_cannot_be_granted() -> None:
    with pytest.raises(Permanent, match="separates"):
        Grant("dana|devi", "x", "dev", NOW).sealed(KEY)
