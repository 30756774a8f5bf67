"""Schemas: the versions that one went through, and which images run on which of them.

An image runs on what it ran on already and on what its label says. Beyond that the phases tell:
what expands is no hindrance to images from before, what contracts is none to images from after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
    SchemaRange,
)
from flowmaster_delivery.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Step:
    """A migration that is applied. `by` is who said so where it was a person, by hand."""

    migration: Migration
    at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """What a service runs or ran, from when on, and what its label says of the schema."""

    service: str
    since: datetime
    needs: SchemaRange | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """Migrations that are applied, oldest first. Level n is the schema after the first n of them.

    `half` is what failed halfway or has not ended, after all of them.
    """

    job: str
    steps: tuple[Step, ...]
    base: int | None
    """Version before the first of them; None where nobody knows."""
    half: MigrationRecord | None = None

    @property
    def top(self) -> int:
        return len(self.steps)

    def version(self, level: int) -> int | None:
        return self.steps[level - 1].migration.after if level else self.base

    def reached(self, at: datetime) -> int:
        """The level at a moment."""
        return sum(step.at <= at for step in self.steps)

    def only(self, phase: MigrationPhase, low: int, high: int) -> bool:
        """Whether everything between two levels is of this phase."""
        return all(step.migration.phase is phase for step in self.steps[low:high])

    def bears(self, image: Image, level: int, *, still: bool, lightly: bool = False) -> bool:
        """Whether the image runs on the schema at a level.

        `still`: it runs at this moment, on the topmost one. `lightly`: of an image without label it
        is taken for granted that it runs on what a later contraction took away.
        """
        first = self.reached(image.since)
        last = self.top if still else first
        if first <= level <= last:
            return True
        if level > last and self.only(MigrationPhase.EXPAND, last, level):
            return True
        if image.needs is not None:
            return self.serves(image.needs, level)
        return lightly and level < first and self.only(MigrationPhase.CONTRACT, level, first)

    def serves(self, needs: SchemaRange, level: int) -> bool:
        """Whether an image that says what it needs runs on the schema at a level."""
        if self.version(level) in needs:
            return True
        below = [n for n in range(level) if self.version(n) in needs]
        return bool(below) and self.only(MigrationPhase.EXPAND, below[-1], level)


def chain(
    job: str, newest_first: Sequence[MigrationRecord], since: datetime | None = None
) -> Chain:
    """What is applied of all that was recorded after `since`, net of what was taken back."""
    steps: list[Step] = []
    base: int | None = None
    half: MigrationRecord | None = None
    for record in reversed(newest_first):
        if since is not None and record.at <= since:
            base = record.version
        elif base is None:
            base = record.version if record.settled else _start(record)
        if record.version is not None:
            _apply(record, base, half, steps)
        half = record if record.version is None else None
    return Chain(job, tuple(steps), base, half)


def _apply(
    record: MigrationRecord, base: int | None, half: MigrationRecord | None, steps: list[Step]
) -> None:
    """One success: put on top, or back to a level that was there, or a leap by hand."""
    versions = [base, *(step.migration.after for step in steps)]
    if record.version in versions:
        del steps[versions.index(record.version) :]
    elif not record.settled and record.direction is Direction.UP:
        steps.append(Step(record.migration, record.at))
    elif half and half.direction is Direction.UP and record.version == half.migration.after:
        steps.append(Step(half.migration, record.at))
    elif record.version is not None and versions[-1] is not None:
        job, phase = record.migration.job, MigrationPhase.CONTRACT
        leap = Migration(job, "", versions[-1], record.version, phase, reversible=False)
        steps.append(Step(leap, record.at, by=record.asked_by))


def _start(record: MigrationRecord) -> int:
    up = record.direction is Direction.UP
    return record.migration.before if up else record.migration.after


def unfinished_down(found: MigrationRecord | None) -> bool:
    """Whether it is a way down that has begun and has not failed: it is to be gone to its end."""
    return (
        found is not None
        and found.direction is Direction.DOWN
        and found.outcome is not Outcome.FAILURE
    )
