"""The record of what was done and seen."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, Override, ReleaseSeen
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.verification import Verification

Record = (
    ImageRecord
    | Admission
    | DeploymentRecord
    | HealthObservation
    | Verification
    | MigrationRecord
    | CanaryOrder
    | Incident
    | Hold
    | Approval
    | Override
    | ReleaseSeen
)
"""Everything that the history holds."""


class History(Protocol):
    """The record of what was done and seen: Dagster's event log, read and written by one adapter.

    Only what our own code wrote counts; reports made by hand in the UI are ignored. All reads are
    newest first unless said otherwise, and see what other processes wrote.
    """

    def images(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[ImageRecord, ...]: ...

    def admissions(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[Admission, ...]: ...

    def deployments(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[DeploymentRecord, ...]: ...

    def observations(
        self, service: str, environment: str, since: datetime | None = None, limit: int = 1000
    ) -> tuple[HealthObservation, ...]: ...

    def holds(self) -> tuple[Hold, ...]:
        """Every hold of every service, the last state of each; released ones included."""

    def approvals(self, repository: str, version: str) -> tuple[Approval, ...]:
        """Recorded approvals and withdrawals of a version, at whatever commit; oldest first."""

    def overrides(self, repository: str, version: str) -> tuple[Override, ...]:
        """Of a version, at whatever commit, expired or not; oldest first."""

    def releases(self, repository: str, limit: int = 200) -> tuple[ReleaseSeen, ...]: ...

    def verifications(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[Verification, ...]: ...

    def migrations(
        self, job: str, environment: str, limit: int = 200
    ) -> tuple[MigrationRecord, ...]: ...

    def canary_orders(
        self, service: str, environment: str, limit: int = 20
    ) -> tuple[CanaryOrder, ...]: ...

    def incidents(self, environment: str, limit: int = 200) -> tuple[Incident, ...]:
        """The last state of each of the newest incidents, newest first."""

    def record(self, record: Record, shown: str = "") -> None:
        """Write one record outside of a run (inside, the asset materializes it).

        `shown` is Markdown that people see beside it.
        """
