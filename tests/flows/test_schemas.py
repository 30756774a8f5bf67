"""What a gate is told about schemas, a person's word on one, and what adoption says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.migrations.facts import migration_facts
from flowmaster_delivery.flows.migrations.schemas import listed, settle
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.model.errors import NotFound, Refused
from flowmaster_delivery.model.facts import MigrationFacts
from flowmaster_delivery.model.migration import Direction, Migration, MigrationPhase, SchemaRange
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission, Candidate
from flowmaster_delivery.policy.migrations import standing
from tests.builders import NOON, a_candidate, a_catalog, a_service, production
from tests.fakes.fake_history import FakeHistory
from tests.flows.test_migrations import World, a_migration, a_record_of, digest, labels

JOB = a_service("schema", kind=Kind.JOB)
ENGINE = a_service("engine", migrations=("schema",))
CATALOG = a_catalog(services=(JOB, ENGINE, a_service("other")), environments=(production(),))
PRODUCTION = CATALOG.environment("production")
EXPAND = MigrationPhase.EXPAND


def facts(world: World, candidate: Candidate) -> MigrationFacts:
    service = CATALOG.service(candidate.service)
    return migration_facts(candidate, service, PRODUCTION, Reading(CATALOG, world.ports))


def a_job_candidate(name: str = "m12") -> Candidate:
    return a_candidate(service="schema", digest=digest(name))


@pytest.fixture
def world() -> World:
    made = World()
    made.push(JOB, "m12", labels(12, EXPAND))
    made.push(ENGINE, "e1", {"ai.flowmaster.schema.schema": "12"})
    return made


def test_of_a_job_it_is_told_what_it_does_and_who_runs_on_its_schema(world: World) -> None:
    found = facts(world, a_job_candidate())
    assert isinstance(found.declared, Migration)
    assert (found.declared.before, found.declared.after) == (11, 12)
    assert [schema.job for schema in found.schemas] == ["schema"]
    assert found.users == ()


def test_of_a_service_it_is_told_what_it_needs(world: World) -> None:
    [schema] = facts(world, a_candidate(service="engine", digest=digest("e1"))).schemas
    assert (schema.needs, schema.coming) == (SchemaRange(12, 12), None)


def test_a_migration_that_is_admitted_and_has_not_run_comes_first(world: World) -> None:
    world.history.record(Admission(a_job_candidate(), True, "sam", "", NOON))
    [schema] = facts(world, a_candidate(service="engine", digest=digest("e1"))).schemas
    assert schema.coming is not None
    assert schema.coming.after == 12


def test_of_a_service_without_schemas_nothing_is_read(world: World) -> None:
    world.registry.images.clear()
    assert facts(world, a_candidate(service="other", digest=digest("o1"))) == MigrationFacts()


def test_an_image_that_the_registry_does_not_have_is_not_an_empty_declaration(
    world: World,
) -> None:
    with pytest.raises(NotFound, match="does not have"):
        facts(world, a_job_candidate("gone"))


def test_a_persons_word_ends_what_failed_halfway() -> None:
    history = FakeHistory()
    failed = a_record_of(a_migration(12), Outcome.FAILURE, "production")
    history.record(failed)
    [row] = listed(CATALOG, history)
    assert (row.version, "failed halfway" in row.trouble) == (None, True)
    word = settle(JOB, PRODUCTION, 12, "index made by hand", "sam", history, NOON)
    assert (word.settled, word.version, word.asked_by) == (True, 12, "sam")
    [row] = listed(CATALOG, history, PRODUCTION)
    assert (row.version, row.trouble) == (12, "")
    assert standing("schema", history.migrations("schema", "production")).half is None


def test_the_same_word_again_records_nothing() -> None:
    history = FakeHistory()
    first = settle(JOB, PRODUCTION, 12, "looked", "sam", history, NOON)
    later = NOON + timedelta(hours=1)
    assert settle(JOB, PRODUCTION, 12, "looked again", "sofia", history, later) == first
    assert len(history.records) == 1


@pytest.mark.parametrize(
    ("service", "version", "reason", "words"),
    [
        (ENGINE, 12, "because", "is of kind deployment"),
        (JOB, 12, "  ", "needs a reason"),
        (JOB, -1, "because", "-1 is no version"),
        (JOB, 10**9, "because", "is no version"),
    ],
)
def test_a_word_that_cannot_be_is_refused(
    service: object, version: int, reason: str, words: str
) -> None:
    history = FakeHistory()
    with pytest.raises(Refused, match=words):
        settle(service, PRODUCTION, version, reason, "sam", history, NOON)  # type: ignore[arg-type]
    assert history.records == []


def test_a_job_that_nothing_refers_to_and_that_never_ran_is_not_listed() -> None:
    lonely = replace(CATALOG, services={"schema": JOB})
    assert listed(lonely, FakeHistory()) == ()
    assert [row.last for row in listed(CATALOG, FakeHistory())] == [None]


def test_a_word_on_the_way_down_is_a_word_too() -> None:
    history = FakeHistory()
    for outcome in (Outcome.SUCCESS, Outcome.FAILURE):
        direction = Direction.UP if outcome is Outcome.SUCCESS else Direction.DOWN
        history.record(a_record_of(a_migration(12), outcome, "production", direction))
    settle(JOB, PRODUCTION, 11, "dropped by hand", "sam", history, NOON)
    assert listed(CATALOG, history)[0].version == 11
