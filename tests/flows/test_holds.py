"""Holds are placed and released by name, with a reason."""

from __future__ import annotations

import pytest

from flowmaster_delivery.flows import holds
from flowmaster_delivery.model.errors import Refused, UnknownName
from flowmaster_delivery.model.promotion import Hold
from tests.flows.conftest import NOW, Platform


def _place(platform: Platform, reason: str = "errors after v1.1.0") -> Hold:
    service, environment = platform.catalog.services["api"], platform.catalog.environments["dev"]
    return holds.place(service, environment, "sam", reason, platform.history, NOW)


def test_a_hold_that_was_placed_is_in_force(platform: Platform) -> None:
    placed = _place(platform)
    assert holds.active(platform.history) == (placed,)
    assert holds.active(platform.history, "staging") == ()


def test_a_hold_without_a_reason_is_refused(platform: Platform) -> None:
    with pytest.raises(Refused, match="needs a reason"):
        _place(platform, "  ")
    assert platform.history.holds() == ()


def test_a_released_hold_keeps_who_released_it_and_why(platform: Platform) -> None:
    placed = _place(platform)
    holds.release(placed.id, "sofia", "fixed in v1.1.1", platform.history, NOW)
    assert holds.active(platform.history) == ()
    (kept,) = platform.history.holds()
    assert (kept.author, kept.released_by, kept.release_reason) == (
        "sam",
        "sofia",
        "fixed in v1.1.1",
    )


def test_releasing_twice_changes_nothing(platform: Platform) -> None:
    placed = _place(platform)
    holds.release(placed.id, "sofia", "fixed", platform.history, NOW)
    again = holds.release(placed.id, "sergio", "me too", platform.history, NOW)
    assert again.released_by == "sofia"


def test_an_unknown_hold_is_answered_with_the_nearest(platform: Platform) -> None:
    placed = _place(platform)
    with pytest.raises(UnknownName, match=placed.id):
        holds.release(placed.id[:-1] + "z", "sofia", "typo", platform.history, NOW)
