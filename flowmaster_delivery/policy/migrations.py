"""Migrations: what an image says of itself in its labels, and whether it may run here now."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flowmaster_delivery.model.errors import nearest
from flowmaster_delivery.model.migration import (
    LABEL,
    SCHEMA_LABEL,
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
    SchemaRange,
)
from flowmaster_delivery.model.outcome import Outcome

T = TypeVar("T")

VERSION = re.compile(r"[0-9]{1,9}")
RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
KNOWN = ("before", "after", "phase", "reversible", "up", "down")
TRUTHS = {"true": True, "false": False}


def says_nothing(labels: Mapping[str, str]) -> bool:
    """Whether no label speaks of a migration."""
    return not any(name.startswith(LABEL) for name in labels)


def declared(job: str, digest: str, labels: Mapping[str, str]) -> Migration | tuple[str, ...]:
    """What the image says that it does to the schema, or every fault of that, one line each."""
    said = {k.removeprefix(LABEL): v.strip() for k, v in labels.items() if k.startswith(LABEL)}
    if not said:
        return (f"the image has no labels {LABEL}…: it does not say what it does to the schema",)
    faults = [f"{LABEL}{name}: {nearest(name, KNOWN)}" for name in said if name not in KNOWN]
    before, after = (_version(name, said, faults) for name in ("before", "after"))
    phase = _one_of("phase", {one.value: one for one in MigrationPhase}, said, faults)
    reversible = _one_of("reversible", TRUTHS, said, faults)
    up, down = (_command(name, said, faults) for name in ("up", "down"))
    if before is not None and after is not None and after <= before:
        faults.append(f"{LABEL}after is {after}: it must be greater than before, which is {before}")
    if reversible and not down:
        faults.append(f"{LABEL}down is missing: a reversible migration says how it is taken back")
    if faults or before is None or after is None or phase is None or reversible is None:
        return tuple(faults)
    return Migration(job, digest, before, after, phase, reversible, up, down)


def needed(job: str, labels: Mapping[str, str]) -> SchemaRange | str | None:
    """Versions of the job's schema that a service's image runs on: None where it says nothing, and
    the fault in words where what it says is no range."""
    name = f"{SCHEMA_LABEL}{job}"
    if name not in labels:
        return None
    said = labels[name].strip()
    found = RANGE.fullmatch(said)
    if found is None:
        return f"{name} is {said[:40]!r}: write one version (12) or a range (11-13)"
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        return f"{name} is {said!r}: the range begins behind its end"
    return SchemaRange(first, last)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is on record of a schema in one environment."""

    job: str
    version: int | None
    """None where nothing is on record, or where what was done last failed or has not ended."""
    half: MigrationRecord | None = None
    """What failed halfway or has not ended."""


def standing(job: str, newest_first: Sequence[MigrationRecord]) -> Standing:
    """Where the schema is, by what was recorded last."""
    last = newest_first[0] if newest_first else None
    if last is None:
        return Standing(job, None)
    return Standing(job, last.version, last if last.version is None else None)


def half_done(found: MigrationRecord) -> str:
    """What failed halfway or has not ended, in words."""
    what = f"migration {found.migration} of {found.migration.job}"
    taken = " being taken back" if found.direction is Direction.DOWN else ""
    if found.outcome is Outcome.FAILURE:
        said = f": {found.message}" if found.message else ""
        return f"{what}{taken} failed halfway{said}"
    return f"{what}{taken} has not ended, or its run {found.run_id} was killed"


def mending(found: MigrationRecord) -> str:
    """What a person does about it."""
    job, environment = found.migration.job, found.environment
    command = f"flowmaster migration settle {job} {environment} --version N --reason …"
    if found.outcome is Outcome.FAILURE:
        return f"mend it, and say at which version the schema is: {command}"
    return f"run {job} again, which awaits it; or mend it and say where the schema is: {command}"


@dataclass(frozen=True, slots=True)
class Go:
    """It may run. `attempt` counts how often it has run to an end in this direction before."""

    attempt: int
    begun: bool
    """Whether its beginning is on record already: then it is awaited."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The schema is where it leads to already."""

    version: int


def step(
    migration: Migration, direction: Direction, newest_first: Sequence[MigrationRecord]
) -> Go | Nothing | str:
    """Whether the migration may run in this direction now; a string says why not."""
    start, end = migration.before, migration.after
    if direction is Direction.DOWN:
        start, end = end, start
    where = standing(migration.job, newest_first)
    if where.half is not None:
        if not _is(where.half, migration, direction) or where.half.outcome is Outcome.FAILURE:
            return f"{half_done(where.half)}; {mending(where.half)}"
        return Go(_attempts(migration, direction, newest_first), begun=True)
    if where.version == end:
        return Nothing(end)
    if where.version not in (None, start):
        return (
            f"the schema of {migration.job} is at {where.version}, and this migration leads from "
            f"{start} to {end}; run those between first"
        )
    return Go(_attempts(migration, direction, newest_first), begun=False)


def _attempts(
    migration: Migration, direction: Direction, records: Sequence[MigrationRecord]
) -> int:
    ended = (Outcome.SUCCESS, Outcome.FAILURE)
    return sum(_is(one, migration, direction) and one.outcome in ended for one in records)


def _is(record: MigrationRecord, migration: Migration, direction: Direction) -> bool:
    return record.migration.digest == migration.digest and record.direction is direction


def _version(name: str, said: Mapping[str, str], faults: list[str]) -> int | None:
    if name not in said:
        faults.append(f"{LABEL}{name} is missing: give the schema version, a whole number")
        return None
    if not VERSION.fullmatch(said[name]):
        faults.append(f"{LABEL}{name} is {said[name][:40]!r}: give a whole number")
        return None
    return int(said[name])


def _one_of(
    name: str, choices: Mapping[str, T], said: Mapping[str, str], faults: list[str]
) -> T | None:
    words = " or ".join(choices)
    if name not in said:
        faults.append(f"{LABEL}{name} is missing: say {words}")
        return None
    if said[name] not in choices:
        faults.append(f"{LABEL}{name} is {said[name][:40]!r}: say {words}")
        return None
    return choices[said[name]]


def _command(name: str, said: Mapping[str, str], faults: list[str]) -> tuple[str, ...]:
    """Empty where nothing is said, and where it is faulty."""
    if name not in said:
        return ()
    try:
        found = json.loads(said[name])
    except ValueError:
        found = None
    if isinstance(found, list) and found and all(isinstance(word, str) for word in found):
        return tuple(found)
    faults.append(f'{LABEL}{name} is no JSON list of words, as ["migrate", "up"] is')
    return ()
