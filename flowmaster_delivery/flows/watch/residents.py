"""What runs since when, and what it is compared with: read once for each image that comes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flowmaster_delivery.flows.watch.figures import Judged
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.policy.rollback import what_brought
from flowmaster_delivery.policy.watching import Resident, compared_with, first_period, resident
from flowmaster_delivery.ports import History

LOOKED_BACK = 20
READ_AT_ONCE = 40
"""Services that are read anew in one look: the first look of a process waits for no thousand."""
AGAIN_AFTER = timedelta(minutes=1)
"""What has no record may get one: so often it is asked for until it is there."""
VERIFIED_SOON = timedelta(seconds=15)
"""A verification ends later than its rollout: so often it is asked for, since nothing is over twice
a baseline that is not known."""
VERIFIED_BY = timedelta(hours=2)
"""So long after the rollout at the latest."""


@dataclass(slots=True)
class Residents:
    """Kept from look to look."""

    known: dict[str, Resident] = field(default_factory=dict)
    asked: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Service to the image that was asked for last, and when."""

    def of(
        self,
        looks: Iterable[HealthObservation],
        environment: Environment,
        history: History,
        now: datetime,
    ) -> dict[str, Resident]:
        """The residents among the services looked at, as far as they are known by now."""
        wanted = {look.service: look.digest for look in looks if look.digest}
        due = [name for name, digest in wanted.items() if self._is_due(name, digest, now)]
        for name in due[:READ_AT_ONCE]:
            self.asked[name] = wanted[name], now
            found = _read(name, wanted[name], environment, history)
            self.known.pop(name, None)
            if found is not None:
                self.known[name] = found
        return {name: one for name, one in self.known.items() if wanted.get(name) == one.digest}

    def remember(self, judged: Iterable[Judged], history: History, now: datetime) -> None:
        """Put the figures of a verified image's first whole window on record, once."""
        by_service: dict[str, list[Judgement]] = defaultdict(list)
        for one in judged:
            by_service[one.service].append(one.judgement)
        for name, judgements in by_service.items():
            known = self.known[name]
            found = first_period(known, judgements, now)
            if found is not None:
                history.record(found)
                self.known[name] = compared_with(known, found)

    def _is_due(self, name: str, digest: str, now: datetime) -> bool:
        image, at = self.asked.get(name, ("", now))
        if image != digest:
            return True
        known = self.known.get(name)
        if known is None:
            return now - at >= AGAIN_AFTER
        return known.expected and now - known.since < VERIFIED_BY and now - at >= VERIFIED_SOON


def _read(name: str, digest: str, environment: Environment, history: History) -> Resident | None:
    records = history.deployments(name, environment.name, limit=LOOKED_BACK)
    brought = what_brought(digest, records)
    if brought is None:
        return None
    verifications = history.verifications(name, environment.name, limit=LOOKED_BACK)
    return resident(brought, verifications)
