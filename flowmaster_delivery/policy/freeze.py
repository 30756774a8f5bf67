"""Freeze: whether promotion is closed by calendar, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from flowmaster_delivery.model.catalog import FreezeWindow

MOST_STARTS = 1000
"""Ends that are followed: what is frozen after that many is frozen for good."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A window that is on, and when it ends by itself (UTC)."""

    window: FreezeWindow
    until: datetime


def frozen(windows: Iterable[FreezeWindow], now: datetime) -> tuple[Frozen, ...]:
    """Every window that is on now, the one that lasts longest first."""
    ends = [(window, _end(window, now)) for window in windows]
    found = [Frozen(window, end) for window, end in ends if end is not None]
    return tuple(sorted(found, key=lambda one: one.until, reverse=True))


def opens(windows: Iterable[FreezeWindow], now: datetime) -> datetime | None:
    """When no window is on any more: another may begin before the present one ends.

    None where they follow each other without end.
    """
    every, moment = tuple(windows), now
    for _ in range(MOST_STARTS):
        on = frozen(every, moment)
        if not on:
            return moment
        moment = on[0].until
    return None


def _end(window: FreezeWindow, now: datetime) -> datetime | None:
    """When the window that is on at `now` ends; None where it is not on."""
    zone = ZoneInfo(window.zone)
    if window.first_day and window.until:
        begin = datetime.combine(window.first_day, time(), zone).astimezone(UTC)
        end = datetime.combine(window.until + timedelta(days=1), time(), zone).astimezone(UTC)
        return end if begin <= now < end else None
    if window.start is None or window.duration is None:
        return None
    return _recurring_end(window.start, window.duration, zone, now)


def _recurring_end(
    start: str, duration: timedelta, zone: ZoneInfo, now: datetime
) -> datetime | None:
    """Local wall-clock starts; the length is elapsed time, so a change of clocks alters no end."""
    local = now.astimezone(zone)
    latest = croniter(start, local + timedelta(seconds=1)).get_prev(datetime)
    end: datetime = latest.astimezone(UTC) + duration
    return end if now < end else None
