"""The question about schemas: is it known what the candidate does to them, and does it run on them?

Not knowing is no yes: a job that does not say what it does, or a service that does not say on which
versions it runs, is kept out where this gate is required.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.model.facts import MigrationFacts, SchemaFacts, SchemaUser, Unread
from flowmaster_delivery.model.migration import (
    SCHEMA_LABEL,
    Direction,
    Migration,
    MigrationPhase,
    SchemaRange,
)
from flowmaster_delivery.policy.migrations import (
    Go,
    Nothing,
    half_done,
    mending,
    standing,
    step,
)
from flowmaster_delivery.policy.questions.asking import Answer, Asked, met, unmet
from flowmaster_delivery.policy.schemas import Step, chain


def migrations(asked: Asked) -> Answer | Unread:
    """What the candidate does to schemas is understood, and it runs on those that are here."""
    facts = asked.facts.migrations
    if isinstance(facts, Unread):
        return facts
    if asked.service.kind is Kind.JOB:
        return _of_job(asked, facts)
    if not facts.schemas:
        if asked.service.migrations:
            return unmet("without an image it is not known what it needs", "run its pipeline")
        return met("it works on no schema")
    answers = [_of_service(asked, schema) for schema in facts.schemas]
    closed = [one for one in answers if one.remedy]
    words = "; ".join(one.summary for one in closed or answers)
    if not closed:
        return met(words)
    return unmet(words, "; ".join(dict.fromkeys(one.remedy for one in closed)))


def _of_job(asked: Asked, facts: MigrationFacts) -> Answer:
    migration = facts.declared
    if migration is None:
        return unmet("nothing is known about this migration", "label its image and build it again")
    if not isinstance(migration, Migration):
        return unmet("; ".join(migration), "correct the labels of its image and build it again")
    [schema] = facts.schemas
    may = step(migration, Direction.UP, schema.records)
    evidence = {"phase": migration.phase, "reversible": migration.reversible}
    if isinstance(may, str):
        half = standing(schema.job, schema.records).half
        remedy = mending(half) if half else "promote what lies between first"
        return unmet(half_done(half) if half else may, remedy, evidence)
    if isinstance(may, Nothing):
        return met(f"the schema of {schema.job} is at {may.version} already", evidence)
    if not schema.records and migration.before > 0:
        return _not_on_record(asked, schema)
    stranded = list(_stranded(migration, facts.users))
    if stranded:
        return unmet(
            f"migration {migration} takes away what runs here: {', '.join(stranded)}",
            f"first ship versions of them that say that they run on {migration.after}",
            evidence,
        )
    how = f"{migration.phase}, {'' if migration.reversible else 'not '}reversible"
    awaited = isinstance(may, Go) and may.begun
    said = "has begun and is awaited" if awaited else "understood"
    return met(f"migration {migration} ({how}) {said}", evidence)


def _stranded(migration: Migration, users: tuple[SchemaUser, ...]) -> Iterator[str]:
    """Services that run and that a contraction would take the ground from."""
    if migration.phase is MigrationPhase.EXPAND:
        return
    for user in users:
        if user.needs is None:
            yield f"{user.service} does not say on which versions it runs"
        elif migration.after not in user.needs:
            yield f"{user.service} runs on {user.needs}"


def _of_service(asked: Asked, schema: SchemaFacts) -> Answer:
    job = schema.job
    half = standing(job, schema.records).half
    if half:
        return unmet(half_done(half), mending(half))
    if isinstance(schema.needs, str):
        return unmet(schema.needs, "correct the label of the image and build it again")
    if schema.needs is None:
        return unmet(
            f"its image does not say on which versions of the schema of {job} it runs",
            f"label it {SCHEMA_LABEL}{job} (as 12, or 11-13) and build it again",
        )
    return _fits(asked, schema, schema.needs)


def _fits(asked: Asked, schema: SchemaFacts, needs: SchemaRange) -> Answer:
    job, here = schema.job, chain(schema.job, schema.records)
    if schema.records and here.serves(needs, here.top):
        return met(f"it runs on schema {here.version(here.top)} of {job}")
    coming = schema.coming
    if coming and isinstance(step(coming, Direction.UP, schema.records), Go):
        base = coming.before if here.base is None else here.base
        then = replace(here, base=base, steps=(*here.steps, Step(coming, asked.now)))
        if then.serves(needs, then.top):
            return met(f"{job} brings its schema from {coming.before} to {coming.after} first")
    if not schema.records:
        return _not_on_record(asked, schema)
    version = here.version(here.top) or 0
    words = f"the schema of {job} is at {version} here, this image needs {needs}"
    newer = version < needs.first
    remedy = f"promote {job} first" if newer else f"ship a version that runs on {version}"
    return unmet(words, remedy)


def _not_on_record(asked: Asked, schema: SchemaFacts) -> Answer:
    job, environment = schema.job, asked.environment.name
    return unmet(
        f"it is not on record at which version the schema of {job} is here",
        f"say it: flowmaster migration settle {job} {environment} --version N --reason …",
    )
