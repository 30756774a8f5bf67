"""Timeline: what is on record of an environment, in the one order that a replay takes it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, Override
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.verification import Verification

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Cut:
    """That older looks at a service in an environment are on record, and not in the timeline."""

    service: str
    environment: str
    before: datetime


@dataclass(frozen=True, slots=True)
class Timeline:
    """Records of one environment, and looks at the one before it; each kind oldest first."""

    admissions: tuple[Admission, ...] = ()
    deployments: tuple[DeploymentRecord, ...] = ()
    looks: Mapping[tuple[str, str], tuple[HealthObservation, ...]] = field(default_factory=dict)
    """By service and environment."""
    verifications: tuple[Verification, ...] = ()
    approvals: tuple[Approval, ...] = ()
    holds: tuple[Hold, ...] = ()
    overrides: tuple[Override, ...] = ()
    incidents: tuple[Incident, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @classmethod
    def of(cls, records: Iterable[object], cuts: Iterable[Cut] = ()) -> Timeline:
        """The records in order, whatever order they come in; of other kinds nothing is kept."""
        every = list(records)
        return cls(
            admissions=_ordered(Admission, every, lambda one: one.at),
            deployments=_ordered(DeploymentRecord, every, lambda one: one.finished_at),
            looks=_looks(every),
            verifications=_ordered(Verification, every, lambda one: one.at),
            approvals=_ordered(Approval, every, lambda one: one.at),
            holds=_ordered(Hold, every, lambda one: one.at),
            overrides=_ordered(Override, every, lambda one: one.at),
            incidents=_ordered(Incident, every, lambda one: one.opened_at),
            cuts=tuple(sorted(cuts, key=lambda cut: (cut.service, cut.environment, cut.before))),
        )

    def looks_at(self, service: str, environment: str) -> tuple[HealthObservation, ...]:
        return self.looks.get((service, environment), ())

    def last_look(
        self, service: str, environment: str, until: datetime
    ) -> HealthObservation | None:
        seen = self.looks_at(service, environment)
        count = bisect_right(seen, until, key=lambda look: look.at)
        return seen[count - 1] if count else None

    def holds_at(self, moment: datetime) -> tuple[Hold, ...]:
        """The holds that were in force then, as they were then."""
        return tuple(
            replace(hold, released_by=None, released_at=None, release_reason="")
            for hold in self.holds
            if hold.at <= moment and (hold.released_at is None or hold.released_at > moment)
        )

    def changes_of(self, service: str, until: datetime) -> tuple[DeploymentRecord, ...]:
        """What was done to a service up to a moment, newest first."""
        found = (r for r in reversed(self.deployments) if r.service == service)
        return tuple(record for record in found if record.finished_at <= until)


def _ordered(kind: type[R], records: list[object], at: Callable[[R], datetime]) -> tuple[R, ...]:
    """By time, and where that is the same by all they say: no order of coming in decides."""
    found = [record for record in records if isinstance(record, kind)]
    return tuple(sorted(found, key=lambda record: (at(record), repr(record))))


def _looks(
    records: list[object],
) -> dict[tuple[str, str], tuple[HealthObservation, ...]]:
    found: dict[tuple[str, str], list[HealthObservation]] = {}
    for record in records:
        if isinstance(record, HealthObservation):
            found.setdefault((record.service, record.environment), []).append(record)
    return {place: tuple(sorted(seen, key=_place_of_look)) for place, seen in found.items()}


def _place_of_look(look: HealthObservation) -> tuple[Any, ...]:
    first = (look.at, look.failures_in_a_row, look.state.badness)
    return (*first, look.digest or "", look.fingerprint or "", look.reason)
