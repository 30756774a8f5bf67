"""The pulse: what shows that a process, or a part of Dagster's machinery, does its work."""

from __future__ import annotations

from dataclasses import dataclass

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
