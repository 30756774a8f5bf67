"""A history in memory: a list of records, oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, Override, ReleaseSeen
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.ports import Record

OfService = TypeVar(
    "OfService", ImageRecord, DeploymentRecord, HealthObservation, Verification, CanaryOrder
)


@dataclass
class FakeHistory:
    records: list[Record] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """Markdown that was shown beside a record."""

    def record(self, record: Record, shown: str = "") -> None:
        self.records.append(record)
        if shown:
            self.shown.append(shown)

    def images(self, service: str, environment: str, limit: int = 50) -> tuple[ImageRecord, ...]:
        return self._of(ImageRecord, service, environment)[:limit]

    def admissions(self, service: str, environment: str, limit: int = 50) -> tuple[Admission, ...]:
        found = (r for r in reversed(self.records) if isinstance(r, Admission))
        here = (service, environment)
        own = [r for r in found if (r.candidate.service, r.candidate.environment) == here]
        return tuple(own[:limit])

    def deployments(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[DeploymentRecord, ...]:
        return self._of(DeploymentRecord, service, environment)[:limit]

    def observations(
        self, service: str, environment: str, since: datetime | None = None, limit: int = 1000
    ) -> tuple[HealthObservation, ...]:
        found = self._of(HealthObservation, service, environment)
        return tuple(r for r in found if since is None or r.at >= since)[:limit]

    def holds(self) -> tuple[Hold, ...]:
        last = {r.id: r for r in self.records if isinstance(r, Hold)}
        return tuple(last.values())

    def approvals(self, repository: str, version: str) -> tuple[Approval, ...]:
        return tuple(
            r
            for r in self.records
            if isinstance(r, Approval) and (r.repository, r.version) == (repository, version)
        )

    def overrides(self, repository: str, version: str) -> tuple[Override, ...]:
        return tuple(
            r
            for r in self.records
            if isinstance(r, Override) and (r.repository, r.version) == (repository, version)
        )

    def verifications(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[Verification, ...]:
        return self._of(Verification, service, environment)[:limit]

    def migrations(
        self, job: str, environment: str, limit: int = 200
    ) -> tuple[MigrationRecord, ...]:
        found = [
            r
            for r in reversed(self.records)
            if isinstance(r, MigrationRecord)
            and (r.migration.job, r.environment) == (job, environment)
        ]
        return tuple(found[:limit])

    def canary_orders(
        self, service: str, environment: str, limit: int = 20
    ) -> tuple[CanaryOrder, ...]:
        return self._of(CanaryOrder, service, environment)[:limit]

    def incidents(self, environment: str, limit: int = 200) -> tuple[Incident, ...]:
        last = {
            r.id: r
            for r in self.records
            if isinstance(r, Incident) and r.environment == environment
        }
        newest_first = sorted(last.values(), key=lambda one: one.opened_at, reverse=True)
        return tuple(newest_first[:limit])

    def releases(self, repository: str, limit: int = 200) -> tuple[ReleaseSeen, ...]:
        found = [
            r
            for r in reversed(self.records)
            if isinstance(r, ReleaseSeen) and r.repository == repository
        ]
        return tuple(found[:limit])

    def _of(self, kind: type[OfService], service: str, environment: str) -> tuple[OfService, ...]:
        """Newest first."""
        found = (r for r in reversed(self.records) if isinstance(r, kind))
        return tuple(r for r in found if (r.service, r.environment) == (service, environment))
