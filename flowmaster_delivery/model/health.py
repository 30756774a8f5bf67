"""Health: what is known of a service in an environment, worst of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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
