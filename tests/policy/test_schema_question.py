"""The gate `migrations`: understood, and in an order that works; not knowing is no yes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowmaster_delivery.model.catalog import GateName, Kind
from flowmaster_delivery.model.facts import (
    GateFacts,
    MigrationFacts,
    SchemaFacts,
    SchemaUser,
    Unread,
)
from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
    SchemaRange,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import GateCheck, GateState
from flowmaster_delivery.policy.gate import evaluate
from tests.builders import NOON, a_candidate, a_service, digest, production, staging

EXPAND, CONTRACT = MigrationPhase.EXPAND, MigrationPhase.CONTRACT
NEXT = Migration("schema", digest("m12"), 11, 12, EXPAND, True, (), ("down",))
JOB = a_service("schema", kind=Kind.JOB)
ENGINE = a_service("engine", migrations=("schema",))


def a_record(
    after: int, outcome: Outcome = Outcome.SUCCESS, phase: MigrationPhase = EXPAND
) -> MigrationRecord:
    made = Migration("schema", digest(f"m{after}"), after - 1, after, phase, reversible=False)
    return MigrationRecord(
        made, "production", Direction.UP, outcome, NOON, "sam", "r1", "exit code 3"
    )


AT_11 = (a_record(11),)


def asked(service: object, facts: MigrationFacts | Unread) -> GateCheck:
    verdict = evaluate(
        a_candidate(service=service.name),  # type: ignore[attr-defined]
        service,  # type: ignore[arg-type]
        production(gates=(GateName.MIGRATIONS,)),
        staging(),
        GateFacts(migrations=facts),
        NOON,
    )
    return next(check for check in verdict.checks if check.gate is GateName.MIGRATIONS)


def of_job(
    said: Migration | tuple[str, ...] | None = NEXT,
    records: tuple[MigrationRecord, ...] = AT_11,
    *users: SchemaUser,
) -> GateCheck:
    return asked(JOB, MigrationFacts((SchemaFacts("schema", records),), said, users))


def of_service(
    needs: SchemaRange | str | None,
    records: tuple[MigrationRecord, ...] = AT_11,
    coming: Migration | None = None,
) -> GateCheck:
    return asked(ENGINE, MigrationFacts((SchemaFacts("schema", records, needs, coming),)))


def test_a_service_that_works_on_no_schema_is_let_by() -> None:
    found = asked(a_service(), MigrationFacts())
    assert (found.state, found.summary) == (GateState.MET, "it works on no schema")


def test_a_service_without_an_image_says_nothing() -> None:
    assert asked(ENGINE, MigrationFacts()).state is GateState.UNMET


def test_what_could_not_be_read_closes() -> None:
    assert asked(ENGINE, Unread("the registry is away")).state is GateState.UNREADABLE


def test_a_migration_that_is_understood_may_run() -> None:
    found = of_job()
    assert found.state is GateState.MET
    assert found.summary == "migration 11 → 12 (expand, reversible) understood"
    assert found.evidence == {"phase": "expand", "reversible": "True"}


def test_every_fault_of_a_declaration_is_named() -> None:
    found = of_job(("before is missing", "phase is missing"))
    assert found.state is GateState.UNMET
    assert found.summary == "before is missing; phase is missing"
    assert of_job(None).state is GateState.UNMET


def test_a_migration_that_ran_already_is_met() -> None:
    assert of_job(records=(a_record(12), *AT_11)).summary == "the schema of schema is at 12 already"


def test_a_migration_from_another_version_waits_for_those_between() -> None:
    found = of_job(replace(NEXT, before=12, after=13))
    assert found.state is GateState.UNMET
    assert "is at 11, and this migration leads from 12 to 13" in found.summary


def test_a_migration_after_one_that_failed_waits_for_a_person() -> None:
    found = of_job(records=(a_record(11, Outcome.FAILURE),))
    assert found.state is GateState.UNMET
    assert found.summary == "migration 10 → 11 of schema failed halfway: exit code 3"
    assert "flowmaster migration settle schema production" in found.remedy


def test_a_migration_that_has_begun_may_be_awaited() -> None:
    begun = replace(a_record(12, Outcome.INCONCLUSIVE), migration=NEXT)
    found = of_job(records=(begun, *AT_11))
    assert found.state is GateState.MET
    assert found.summary.endswith("has begun and is awaited")


def test_where_nothing_is_on_record_only_a_first_migration_is_understood() -> None:
    found = of_job(records=())
    assert found.state is GateState.UNMET
    assert "not on record at which version" in found.summary
    first = replace(NEXT, before=0, after=1)
    assert of_job(first, ()).state is GateState.MET


@pytest.mark.parametrize(
    ("needs", "words"),
    [(None, "engine does not say on which versions it runs"), (SchemaRange(10, 11), "10-11")],
)
def test_a_contraction_waits_for_what_runs_on_what_it_takes_away(
    needs: SchemaRange | None, words: str
) -> None:
    found = of_job(replace(NEXT, phase=CONTRACT), AT_11, SchemaUser("engine", needs))
    assert found.state is GateState.UNMET
    assert words in found.summary
    assert "say that they run on 12" in found.remedy


def test_a_contraction_of_what_nobody_uses_any_more_may_run() -> None:
    user = SchemaUser("engine", SchemaRange(11, 12))
    assert of_job(replace(NEXT, phase=CONTRACT), AT_11, user).state is GateState.MET


def test_an_expansion_waits_for_nobody() -> None:
    assert of_job(NEXT, AT_11, SchemaUser("engine", None)).state is GateState.MET


def test_an_image_that_runs_on_the_schema_that_is_here_is_met() -> None:
    assert of_service(SchemaRange(10, 11)).summary == "it runs on schema 11 of schema"


def test_an_image_from_before_an_expansion_is_met() -> None:
    assert of_service(SchemaRange(10, 10)).state is GateState.MET


def test_an_image_that_needs_a_newer_schema_says_what_to_promote_first() -> None:
    found = of_service(SchemaRange(12, 12))
    assert found.state is GateState.UNMET
    assert found.summary == "the schema of schema is at 11 here, this image needs 12"
    assert found.remedy == "promote schema first"


def test_a_migration_that_comes_first_is_counted_with() -> None:
    found = of_service(SchemaRange(12, 12), coming=NEXT)
    assert found.state is GateState.MET
    assert found.summary == "schema brings its schema from 11 to 12 first"


def test_a_migration_that_cannot_run_itself_does_not_count() -> None:
    found = of_service(SchemaRange(13, 13), coming=replace(NEXT, before=12, after=13))
    assert found.state is GateState.UNMET


def test_an_image_that_needs_what_was_taken_away_says_what_to_ship() -> None:
    records = (a_record(12, phase=CONTRACT), *AT_11)
    found = of_service(SchemaRange(11, 11), records)
    assert found.state is GateState.UNMET
    assert found.remedy == "ship a version that runs on 12"


def test_an_image_that_says_nothing_is_no_yes() -> None:
    found = of_service(None)
    assert found.state is GateState.UNMET
    assert "label it ai.flowmaster.schema.schema" in found.remedy


def test_an_image_with_a_faulty_label_is_told_so() -> None:
    assert of_service("it is 'x': write one version").state is GateState.UNMET


def test_half_a_migration_closes_whatever_works_on_the_schema() -> None:
    for outcome in (Outcome.FAILURE, Outcome.INCONCLUSIVE, Outcome.ERROR):
        found = of_service(SchemaRange(10, 12), (a_record(12, outcome), *AT_11))
        assert found.state is GateState.UNMET
        assert "settle" in found.remedy


def test_a_schema_that_is_not_on_record_is_asked_for() -> None:
    found = of_service(SchemaRange(10, 12), ())
    assert found.state is GateState.UNMET
    assert "flowmaster migration settle schema production" in found.remedy


def test_every_schema_is_asked_about() -> None:
    two = replace(ENGINE, migrations=("schema", "search"))
    facts = MigrationFacts(
        (
            SchemaFacts("schema", AT_11, SchemaRange(12, 12)),
            SchemaFacts("search", (), None),
        )
    )
    found = asked(two, facts)
    assert "schema of schema is at 11" in found.summary
    assert "schema of search" in found.summary
