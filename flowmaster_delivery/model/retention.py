"""What is kept for how long, and what was found when the old was removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Ages from which on something is removed that is evidence of nothing."""

    runs: timedelta = timedelta(days=90)
    """Runs that recorded nothing: called off, refused, only asked."""
    heartbeats: timedelta = timedelta(days=180)
    """Looks of the watch at which nothing had changed. Changes stay."""
    jobs: timedelta = timedelta(days=1)
    """Finished Jobs of runs on the cluster: what they did is on record."""


class RunEnd(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run that has ended, as far as it matters for keeping it."""

    id: str
    ended: RunEnd
    at: datetime
    """When it last changed."""
    began: bool
    ships: bool
    """Whether it was asked to change something, and not only what would happen."""
    records: int = 0
    """Events that the history reads, or that say what became of an asset."""
    answers: int = 0
    """Checks that it answered."""
    touched: bool = False
    """Whether it began to change a service."""
    newest_of_ref: bool = False
    """Whether its commit is the last that its ref brought to its environment."""
    has_followers: bool = False
    """Whether other runs were started again from it."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A Job of a run on the cluster that has ended."""

    name: str
    uid: str
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """So many of a kind were removed, or kept, and why."""

    what: str
    why: str
    count: int
    removed: bool
