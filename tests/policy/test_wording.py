"""Times and spans in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowmaster_delivery.policy.wording import moment, span
from tests.builders import NOON


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (12, "12 s"),
        (90, "1 min 30 s"),
        (3_600, "1 h"),
        (3_605, "1 h"),
        (3_900, "1 h 5 min"),
        (31 * 3_600, "31 h"),
        (48 * 3_600, "48 h"),
        (14 * 86_400, "14 d"),
        (14 * 86_400 + 7_200, "14 d 2 h"),
    ],
)
def test_a_span_is_its_two_largest_units(seconds: int, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(seconds=5), "12:00:05 UTC"),
        (timedelta(hours=2), "14:00 UTC"),
        (timedelta(hours=26), "Tue 14:00 UTC"),
        (timedelta(days=10), "2026-03-12 12:00 UTC"),
    ],
)
def test_a_moment_is_as_short_as_it_is_clear(ahead: timedelta, words: str) -> None:
    assert moment(NOON + ahead, NOON) == words
