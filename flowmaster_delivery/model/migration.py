"""Migrations: what an image of a migration job does to a schema, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flowmaster_delivery.model.outcome import Outcome

LABEL = "ai.flowmaster.migration."
"""What the image labels begin with: before, after, phase, reversible, up, down (JSON lists)."""


SCHEMA_LABEL = "ai.flowmaster.schema."
"""What the label of a service's image begins with, before the name of the job whose schema it works
on; its value are the versions that the image runs on: `12`, or `11-13`."""


@dataclass(frozen=True, slots=True)
class SchemaRange:
    """Versions of a schema that an image runs on, both ends included."""

    first: int
    last: int

    def __contains__(self, version: object) -> bool:
        return isinstance(version, int) and self.first <= version <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class SchemaNeed:
    """What an image says of one schema: the job that migrates it, and the versions it runs on."""

    job: str
    versions: SchemaRange


class MigrationPhase(StrEnum):
    EXPAND = "expand"
    """Adds: the image from before runs on the new schema."""
    CONTRACT = "contract"
    """Takes away: the image from before does not."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration image says of itself in its labels."""

    job: str
    """The service of kind `job` that it is an image of."""
    digest: str
    before: int
    """Schema version that it starts from."""
    after: int
    phase: MigrationPhase
    reversible: bool
    up: tuple[str, ...] = ()
    """Command of the container; the image's own where empty."""
    down: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """That a migration began, ran or failed halfway in an environment.

    It is recorded as inconclusive before its Job begins, and with its outcome when that has ended.
    A person who says at which version a schema is records a migration of no image to there.
    """

    migration: Migration
    environment: str
    direction: Direction
    outcome: Outcome
    at: datetime
    asked_by: str
    run_id: str
    message: str = ""

    @property
    def version(self) -> int | None:
        """Schema version afterwards; None where it failed halfway or has not ended."""
        if self.outcome is not Outcome.SUCCESS:
            return None
        up = self.direction is Direction.UP
        return self.migration.after if up else self.migration.before

    @property
    def settled(self) -> bool:
        """Whether it is a person's word and no image's doing."""
        return not self.migration.digest
