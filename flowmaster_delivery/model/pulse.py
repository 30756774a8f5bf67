"""The pulse: what shows that a process, or a part of Dagster's machinery, does its work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Beat:
    """Work that a process does again and again. Times are seconds of this machine's monotonic
    clock, which steps of the wall clock do not touch."""

    name: str
    every: float | None = None
    """Seconds between two turns, where it is this process that keeps the pace."""
    running_since: float | None = None
    """Of the turns that have not ended, the oldest."""
    ended: float = NEVER
    succeeded: float = NEVER
    trouble: str = ""
    """Why the last turn came to nothing."""


@dataclass(frozen=True, slots=True)
class Heart:
    """The beats of one living process."""

    part: str
    started: float
    beats: tuple[Beat, ...] = ()


@dataclass(slots=True)
class Turn:
    """One turn, while it goes on. Whoever does the work says so where it comes to nothing."""

    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DaemonBeat:
    """A loop of Dagster's daemon, by the heartbeat that it leaves in the database."""

    name: str
    at: datetime | None
    """None where it has left none yet."""


@dataclass(frozen=True, slots=True)
class SensorBeat:
    """A sensor, by its ticks."""

    name: str
    running: bool
    """False where a person has stopped it."""
    every: timedelta
    ticked: datetime | None
    """When the last tick began that came to its end well; None where none has."""
    failing: bool
    """Whether the newest tick failed."""


@dataclass(frozen=True, slots=True)
class RunSeen:
    """A run as far as the platform's own condition is concerned."""

    state: str
    """`queued`, `started`, …: Dagster's word in small letters."""
    environment: str
    purpose: str
    since: datetime
    """When it was made, for one that goes on; when it ended, for one that is over."""
