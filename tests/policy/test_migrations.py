"""What migration images say of themselves, and whether they may run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
    SchemaRange,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.policy.migrations import (
    Go,
    Nothing,
    declared,
    half_done,
    mending,
    needed,
    says_nothing,
    standing,
    step,
)
from tests.builders import NOON, digest

PREFIX = "ai.flowmaster.migration."
SOUND = {
    f"{PREFIX}before": "11",
    f"{PREFIX}after": "12",
    f"{PREFIX}phase": "expand",
    f"{PREFIX}reversible": "true",
    f"{PREFIX}up": '["migrate", "up"]',
    f"{PREFIX}down": '["migrate", "down", "--to", "11"]',
    "org.opencontainers.image.revision": "c" * 40,
}
MIGRATION = Migration(
    "schema", digest(), 11, 12, MigrationPhase.EXPAND, True, ("migrate", "up"),
    ("migrate", "down", "--to", "11"),
)  # fmt: skip


def a_record(
    migration: Migration = MIGRATION,
    outcome: Outcome = Outcome.SUCCESS,
    direction: Direction = Direction.UP,
    message: str = "",
) -> MigrationRecord:
    at = NOON - timedelta(hours=1)
    return MigrationRecord(migration, "production", direction, outcome, at, "sam", "r1", message)


def test_the_labels_of_a_sound_image_are_understood() -> None:
    assert declared("schema", digest(), SOUND) == MIGRATION


def test_an_image_may_leave_its_own_command_for_the_way_up() -> None:
    labels = {name: value for name, value in SOUND.items() if not name.endswith(".up")}
    assert declared("schema", digest(), labels) == replace(MIGRATION, up=())


def test_an_image_that_cannot_go_down_needs_no_command_for_it() -> None:
    labels = {**SOUND, f"{PREFIX}reversible": "false"}
    del labels[f"{PREFIX}down"]
    found = declared("schema", digest(), labels)
    assert isinstance(found, Migration)
    assert (found.reversible, found.down) == (False, ())


def test_an_image_without_labels_says_nothing() -> None:
    labels = {"org.opencontainers.image.revision": "c" * 40}
    assert says_nothing(labels)
    [fault] = declared("schema", digest(), labels)  # type: ignore[misc]
    assert "does not say what it does" in fault


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("before", "eleven", "before is 'eleven': give a whole number"),
        ("before", "-1", "before is '-1': give a whole number"),
        ("before", "9" * 30, "give a whole number"),
        ("after", "11", "must be greater than before"),
        ("phase", "shrink", "phase is 'shrink': say expand or contract"),
        ("reversible", "yes", "reversible is 'yes': say true or false"),
        ("up", "migrate up", "up is no JSON list of words"),
        ("up", "[1]", "up is no JSON list of words"),
        ("down", "[]", "down is missing"),
        ("dwon", '["x"]', "dwon: did you mean 'down'?"),
    ],
)
def test_a_faulty_label_is_named_with_what_it_must_be(label: str, value: str, words: str) -> None:
    found = declared("schema", digest(), {**SOUND, f"{PREFIX}{label}": value})
    assert isinstance(found, tuple)
    assert any(words in fault for fault in found), found


def test_every_fault_is_said_at_once() -> None:
    found = declared("schema", digest(), {f"{PREFIX}phase": "x", f"{PREFIX}up": "y"})
    assert isinstance(found, tuple)
    assert len(found) == 5


@given(st.dictionaries(st.sampled_from([k for k in SOUND if k.startswith(PREFIX)]), st.text()))
def test_whatever_the_labels_say_the_answer_is_a_migration_or_words(said: dict[str, str]) -> None:
    found = declared("schema", digest(), {**SOUND, **said})
    if isinstance(found, Migration):
        assert found.before < found.after
        assert found.down or not found.reversible
    else:
        assert all(found)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("12", SchemaRange(12, 12)), (" 11-13 ", SchemaRange(11, 13)), ("0", SchemaRange(0, 0))],
)
def test_a_service_says_which_versions_it_runs_on(said: str, expected: SchemaRange) -> None:
    assert needed("schema", {"ai.flowmaster.schema.schema": said}) == expected


@pytest.mark.parametrize("said", ["", ">=12", "12-", "13-11", "twelve", "1" * 40])
def test_a_range_that_is_none_is_said_to_be_none(said: str) -> None:
    found = needed("schema", {"ai.flowmaster.schema.schema": said})
    assert isinstance(found, str)
    assert "ai.flowmaster.schema.schema" in found


def test_of_another_schema_nothing_is_said() -> None:
    assert needed("schema", {"ai.flowmaster.schema.other": "12"}) is None


def test_a_schema_stands_where_the_last_migration_led() -> None:
    assert standing("schema", ()).version is None
    assert standing("schema", (a_record(),)).version == 12
    assert standing("schema", (a_record(direction=Direction.DOWN), a_record())).version == 11


def test_a_failed_migration_leaves_no_known_version() -> None:
    failed = a_record(outcome=Outcome.FAILURE, message="exit code 3")
    found = standing("schema", (failed, a_record()))
    assert (found.version, found.half) == (None, failed)
    assert half_done(failed) == "migration 11 → 12 of schema failed halfway: exit code 3"
    assert "flowmaster migration settle schema production" in mending(failed)


def test_it_runs_from_the_version_that_it_starts_from() -> None:
    there = a_record(replace(MIGRATION, digest=digest("b"), before=10, after=11))
    assert step(MIGRATION, Direction.UP, (there,)) == Go(0, begun=False)


def test_it_runs_where_nothing_is_on_record() -> None:
    assert step(MIGRATION, Direction.UP, ()) == Go(0, begun=False)


def test_what_is_reached_already_is_not_run_again_by_whatever_image() -> None:
    assert step(MIGRATION, Direction.UP, (a_record(),)) == Nothing(12)
    rebuilt = replace(MIGRATION, digest=digest("b"))
    assert step(rebuilt, Direction.UP, (a_record(),)) == Nothing(12)


def test_after_it_was_taken_back_it_is_run_again_as_another_attempt() -> None:
    records = (a_record(direction=Direction.DOWN), a_record())
    assert step(MIGRATION, Direction.UP, records) == Go(1, begun=False)


def test_from_another_version_it_does_not_run() -> None:
    there = a_record(replace(MIGRATION, digest=digest("b"), before=12, after=13))
    words = step(MIGRATION, Direction.UP, (there,))
    assert words == (
        "the schema of schema is at 13, and this migration leads from 11 to 12; "
        "run those between first"
    )


def test_what_has_begun_is_awaited_and_nothing_else_runs_meanwhile() -> None:
    begun = a_record(outcome=Outcome.INCONCLUSIVE)
    assert step(MIGRATION, Direction.UP, (begun,)) == Go(0, begun=True)
    other = step(replace(MIGRATION, digest=digest("b")), Direction.UP, (begun,))
    assert isinstance(other, str)
    assert "has not ended" in other


def test_what_failed_halfway_is_not_tried_again_by_itself() -> None:
    words = step(MIGRATION, Direction.UP, (a_record(outcome=Outcome.FAILURE),))
    assert isinstance(words, str)
    assert "failed halfway" in words
    assert "settle" in words
