"""Health: what is known of a service in an environment, worst of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

LATE = timedelta(seconds=30)
"""How late a look may come before it counts as missing."""


@dataclass(frozen=True, slots=True)
class HealthRule:
    """How health is looked at. Times are per look of the watch, not per request."""

    timeout: timedelta = timedelta(seconds=5)
    look_every: timedelta = timedelta(seconds=20)
    heartbeat: timedelta = timedelta(minutes=10)
    failures_in_a_row: int = 3

    @property
    def longest_gap(self) -> timedelta:
        """Between two looks that still count as watching: two heartbeats (design §9, "Soak"), and
        what a busy machine may delay a look by."""
        return 2 * self.heartbeat + LATE


class HealthState(StrEnum):
    """From best to worst; unknown is worse than progressing."""

    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    MISSING = "missing"

    @property
    def badness(self) -> int:
        return list(HealthState).index(self)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One look at one endpoint. `error` says why there was no answer in `seconds`."""

    url: str
    status: int | None
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200


@dataclass(frozen=True, slots=True)
class HealthObservation:
    """What was seen of a service in an environment, on which image: soak counts these."""

    service: str
    environment: str
    state: HealthState
    digest: str | None
    fingerprint: str | None
    at: datetime
    reason: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    failures_in_a_row: int = 0
    """Looks in a row that were not healthy, this one included."""
