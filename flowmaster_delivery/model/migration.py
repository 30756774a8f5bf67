"""Migrations: what an image of a migration job does to a schema, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from flowmaster_delivery.model.outcome import Outcome

LABEL = "ai.flowmaster.migration."
"""What the image labels begin with: before, after, phase, reversible, up, down (JSON lists)."""


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


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """That a migration ran in an environment, or failed halfway."""

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
        """Schema version afterwards; None where it is not known, since it failed halfway."""
        if self.outcome is not Outcome.SUCCESS:
            return None
        up = self.direction is Direction.UP
        return self.migration.after if up else self.migration.before
