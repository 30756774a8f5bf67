"""Freeze windows: on by calendar, in their own time zone, with an end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from flowmaster_delivery.model.catalog import FreezeWindow
from flowmaster_delivery.policy.freeze import frozen, opens

WEEKEND = FreezeWindow(
    "weekend", zone="Europe/Berlin", start="0 18 * * fri", duration=timedelta(hours=60)
)
YEARS_END = FreezeWindow(
    "year's end", zone="Europe/Berlin", first_day=date(2026, 12, 21), until=date(2027, 1, 3)
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-03-06T16:59:59", False),
        ("2026-03-06T17:00:00", True),
        ("2026-03-08T12:00:00", True),
        ("2026-03-09T04:59:59", True),
        ("2026-03-09T05:00:00", False),
        ("2026-03-11T12:00:00", False),
    ],
)
def test_a_recurring_window_is_on_from_its_start_for_its_duration(moment: str, on: bool) -> None:
    assert bool(frozen([WEEKEND], at(moment))) is on


def test_it_says_when_it_ends() -> None:
    assert opens([WEEKEND], at("2026-03-07T00:00:00")) == at("2026-03-09T05:00:00")


def test_it_starts_by_the_wall_clock_of_its_zone_in_summer_too() -> None:
    assert not frozen([WEEKEND], at("2026-07-03T15:59:00"))
    assert frozen([WEEKEND], at("2026-07-03T16:00:00"))


def test_over_a_change_of_clocks_it_lasts_as_long_as_it_says() -> None:
    assert opens([WEEKEND], at("2026-03-28T12:00:00")) == at("2026-03-30T05:00:00")


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-12-20T22:59:59", False),
        ("2026-12-20T23:00:00", True),
        ("2027-01-03T22:59:59", True),
        ("2027-01-03T23:00:00", False),
    ],
)
def test_dates_are_whole_days_of_the_zone(moment: str, on: bool) -> None:
    assert bool(frozen([YEARS_END], at(moment))) is on


def test_windows_that_follow_each_other_open_together() -> None:
    friday = FreezeWindow("friday", start="0 0 * * fri", duration=timedelta(hours=24))
    saturday = FreezeWindow("saturday", start="0 0 * * sat", duration=timedelta(hours=24))
    moment = at("2026-03-06T12:00:00")
    assert opens([friday, saturday], moment) == at("2026-03-08T00:00:00")


def test_a_window_that_overlaps_itself_ends_after_its_last_start() -> None:
    always = FreezeWindow("long", start="0 0 * * *", duration=timedelta(hours=30))
    assert frozen([always], at("2026-03-06T12:00:00"))[0].until == at("2026-03-07T06:00:00")


def test_no_window_is_open_now() -> None:
    moment = at("2026-03-06T12:00:00")
    assert (frozen([], moment), opens([], moment)) == ((), moment)


def test_windows_that_never_leave_a_gap_never_open() -> None:
    always = FreezeWindow("always", start="0 * * * *", duration=timedelta(hours=2))
    assert opens([always], at("2026-03-06T12:30:00")) is None
