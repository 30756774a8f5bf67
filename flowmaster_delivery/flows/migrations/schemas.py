"""Schemas: at which version each is where, and a person's word on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import Refused
from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.policy.migrations import half_done, mending, standing
from flowmaster_delivery.ports import History

HIGHEST = 999_999_999


@dataclass(frozen=True, slots=True)
class SchemaRow:
    """One schema in one environment. `last` is None, and so is `version`, without any record."""

    job: str
    environment: str
    version: int | None
    last: MigrationRecord | None
    trouble: str = ""
    """What failed halfway or has not ended, and what to do about it."""


def listed(
    catalog: Catalog, history: History, environment: Environment | None = None
) -> tuple[SchemaRow, ...]:
    """Every schema, in the catalog's order."""
    places = (environment,) if environment else tuple(catalog.environments.values())
    jobs = {name for service in catalog.services.values() for name in service.migrations}
    return tuple(
        _row(name, place, history)
        for name, service in catalog.services.items()
        if service.kind is Kind.JOB
        for place in places
        if name in jobs or history.migrations(name, place.name, limit=1)
    )


def _row(job: str, environment: Environment, history: History) -> SchemaRow:
    records = history.migrations(job, environment.name, limit=1)
    where = standing(job, records)
    trouble = f"{half_done(where.half)}; {mending(where.half)}" if where.half else ""
    last = records[0] if records else None
    return SchemaRow(job, environment.name, where.version, last, trouble)


def settle(
    job: Service,
    environment: Environment,
    version: int,
    reason: str,
    by: str,
    history: History,
    now: datetime,
) -> MigrationRecord:
    """Put on record that a person says at which version a schema is: after mending one that was
    half migrated, or where nothing is on record. Saying it again records nothing.

    Raise Refused where there is no such schema, no reason, or no such version.
    """
    where = f"the schema of {job.name} in {environment.name}"
    if job.kind is not Kind.JOB:
        raise Refused(f"{job.name} is of kind {job.kind} and migrates no schema; name a job")
    if not reason.strip():
        raise Refused(f"saying at which version {where} is needs a reason; give one")
    if not 0 <= version <= HIGHEST:
        raise Refused(f"{version} is no version of a schema; give a number from 0 to {HIGHEST}")
    found = history.migrations(job.name, environment.name, limit=1)
    if found and found[0].version == version:
        return found[0]
    word = word_on(job.name, environment.name, version, reason.strip(), by, now)
    history.record(word)
    return word


def word_on(
    job: str, environment: str, version: int, reason: str, by: str, now: datetime
) -> MigrationRecord:
    """A person's word that a schema is at a version."""
    nothing = Migration(job, "", version, version, MigrationPhase.EXPAND, reversible=False)
    return MigrationRecord(
        nothing, environment, Direction.UP, Outcome.SUCCESS, now, by, run_id="", message=reason
    )
