"""Presence: when a run that is not seen counts as lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flowmaster_delivery.policy.presence import (
    FORGOTTEN,
    Absence,
    Look,
    given_up,
    missed,
    still_looked_for,
)

PATIENCE = 120.0
THERE, GONE, SILENT = Look.THERE, Look.GONE, Look.SILENT


def after(looks: Sequence[tuple[float, Look]]) -> Absence | None:
    absence = None
    for now, look in looks:
        absence = missed(absence, look, now)
    return absence


@pytest.mark.parametrize(
    "looks",
    [
        [(0, SILENT)],
        [(0, SILENT), (30, SILENT), (120, SILENT)],
        [(0, GONE)],
        [(0, SILENT), (30, GONE)],
        [(0, SILENT), (110, THERE), (140, SILENT), (250, SILENT)],
        [(0, GONE), (30, THERE), (60, GONE)],
        [(0, THERE)],
        [],
    ],
)
def test_a_moment_says_nothing(looks: Sequence[tuple[float, Look]]) -> None:
    assert not given_up(after(looks), PATIENCE)


@pytest.mark.parametrize(
    "looks",
    [
        [(0, SILENT), (60, SILENT), (120.1, SILENT)],
        [(0, GONE), (1, GONE)],
        [(0, GONE), (30, SILENT), (60, GONE)],
        [(0, SILENT), (30, GONE), (60, SILENT), (121, SILENT)],
    ],
)
def test_what_lasts_does(looks: Sequence[tuple[float, Look]]) -> None:
    assert given_up(after(looks), PATIENCE)


def test_whoever_was_seen_starts_from_the_beginning() -> None:
    assert after([(0, SILENT), (100, SILENT), (110, THERE)]) is None
    assert after([(0, SILENT), (110, THERE), (130, SILENT)]) == Absence(130, 130)


def test_a_run_that_nobody_looks_for_any_more_is_forgotten() -> None:
    kept, old = Absence(0, FORGOTTEN), Absence(0, 10)
    assert still_looked_for({"r1": kept, "r2": old}, FORGOTTEN + 11) == {"r1": kept}
