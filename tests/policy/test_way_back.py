"""The way back of a schema: at each moment every image is on a schema that it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
    SchemaRange,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import RollbackMethod
from flowmaster_delivery.policy.schemas import Chain, Image, chain
from flowmaster_delivery.policy.way_back import Going, Plan, Refusal, plan_back
from tests.builders import NOON, digest

EXPAND, CONTRACT = MigrationPhase.EXPAND, MigrationPhase.CONTRACT
HOUR = timedelta(hours=1)
OLD = Image("engine", NOON)
"""Runs on 10 as far as anybody knows; migrations come one each hour afterwards."""


def a_migration(number: int, phase: MigrationPhase, reversible: bool = True) -> Migration:
    return Migration(
        "schema", digest(number), 10 + number, 11 + number, phase, reversible, (), ("down",)
    )


def a_record(
    migration: Migration, at: int, direction: Direction = Direction.UP,
    outcome: Outcome = Outcome.SUCCESS,
) -> MigrationRecord:  # fmt: skip
    return MigrationRecord(
        migration, "production", direction, outcome, NOON + at * HOUR, "sam", f"r{at}"
    )


def settled(version: int, at: int) -> MigrationRecord:
    word = Migration("schema", "", version, version, EXPAND, reversible=False)
    return a_record(word, at)


def since(*records: MigrationRecord) -> Chain:
    return chain("schema", tuple(reversed(records)), NOON)


def applied(*kinds: tuple[MigrationPhase, bool]) -> Chain:
    return since(*(a_record(a_migration(n, *kind), n + 1) for n, kind in enumerate(kinds)))


def back(
    schema: Chain, method: RollbackMethod | None = RollbackMethod.MIGRATION, *,
    new: Image | None = None, beside: Sequence[Image] = (), old: Image = OLD,
) -> Plan | Refusal:  # fmt: skip
    new = new or Image("engine", NOON + schema.top * HOUR)
    return plan_back(schema, Going(old, tuple(beside), (new,)), method)


def test_where_no_migration_was_applied_there_is_nothing_to_do() -> None:
    for method in (None, *RollbackMethod):
        found = back(applied(), method)
        assert isinstance(found, Plan)
        assert (found.before, found.after) == ((), ())


def test_an_expansion_is_taken_back_after_the_old_image_is_there() -> None:
    found = back(applied((EXPAND, True)))
    assert isinstance(found, Plan)
    assert (found.before, found.after) == ((), (a_migration(0, EXPAND),))
    assert found.version == 10
    assert found.why == "schema of schema goes back from 11 to 10"


def test_a_contraction_is_taken_back_before_the_old_image_comes() -> None:
    found = back(applied((CONTRACT, True)))
    assert isinstance(found, Plan)
    assert (found.before, found.after) == ((a_migration(0, CONTRACT),), ())


def test_both_go_back_newest_first_around_the_change_of_image() -> None:
    found = back(applied((EXPAND, True), (CONTRACT, True)))
    assert isinstance(found, Plan)
    assert found.before == (a_migration(1, CONTRACT),)
    assert found.after == (a_migration(0, EXPAND),)


def test_an_expansion_that_cannot_be_taken_back_stays() -> None:
    found = back(applied((EXPAND, False)))
    assert isinstance(found, Plan)
    assert (found.before, found.after, found.version) == ((), (), 11)
    assert found.why == "schema of schema is left at 11"


def test_a_contraction_that_cannot_be_taken_back_refuses_and_says_the_way_forward() -> None:
    for method in (None, RollbackMethod.MIGRATION, RollbackMethod.RELEASE):
        assert str(back(applied((CONTRACT, False)), method)) == (
            "schema 11 of schema took away what engine as it was needs, and cannot be taken back: "
            "ship a version of engine that mends it on 11"
        )
    assert isinstance(back(applied((CONTRACT, False)), RollbackMethod.REVISION), Refusal)


def test_what_stays_and_needs_the_expansion_keeps_it() -> None:
    user = Image("design", NOON + HOUR, SchemaRange(11, 11))
    found = back(applied((EXPAND, True)), beside=[user])
    assert isinstance(found, Plan)
    assert (found.before, found.after) == ((), ())


def test_what_stays_and_needs_the_contraction_is_named() -> None:
    user = Image("design", NOON + HOUR, SchemaRange(11, 11))
    found = back(applied((CONTRACT, True)), beside=[user])
    assert isinstance(found, Refusal)
    assert "which design cannot run on" in found.why
    assert found.forward.startswith("roll design back with it, or ship a version of engine")


def test_of_what_stays_and_says_nothing_it_is_not_taken_for_granted() -> None:
    found = back(applied((CONTRACT, True)), beside=[Image("design", NOON + HOUR)])
    assert isinstance(found, Refusal)


def test_what_stays_since_before_the_contraction_ran_on_both() -> None:
    found = back(applied((CONTRACT, True)), beside=[Image("design", NOON)])
    assert isinstance(found, Plan)


def test_a_revision_never_touches_the_schema() -> None:
    assert back(applied((EXPAND, True)), RollbackMethod.REVISION) == Plan(
        "schema", 11, why="schema of schema is left at 11"
    )
    found = back(applied((CONTRACT, True)), RollbackMethod.REVISION)
    assert isinstance(found, Refusal)
    assert "method migration" in found.forward


def test_without_a_method_the_schema_goes_back_only_where_it_must() -> None:
    left = back(applied((EXPAND, True)), None)
    assert isinstance(left, Plan)
    assert left.version == 11
    forced = back(applied((EXPAND, True), (CONTRACT, True)), None)
    assert isinstance(forced, Plan)
    assert (forced.before, forced.after, forced.version) == ((a_migration(1, CONTRACT),), (), 11)


def test_an_expansion_above_a_contraction_strands_the_image_that_leaves() -> None:
    found = back(applied((CONTRACT, True), (EXPAND, True)))
    assert isinstance(found, Refusal)
    assert "what runs now cannot run on schema 11" in found.why


def test_unless_that_image_says_that_it_runs_without() -> None:
    new = Image("engine", NOON + 2 * HOUR, SchemaRange(10, 12))
    found = back(applied((CONTRACT, True), (EXPAND, True)), new=new)
    assert isinstance(found, Plan)
    assert [m.after for m in found.before] == [12, 11]


def test_an_old_image_that_says_that_it_runs_on_the_contraction_leaves_it() -> None:
    old = replace(OLD, needs=SchemaRange(10, 11))
    assert isinstance(back(applied((CONTRACT, False)), old=old), Plan)


def test_what_was_taken_back_meanwhile_is_not_taken_back_again() -> None:
    one = a_migration(0, CONTRACT)
    found = back(since(a_record(one, 1), a_record(one, 2, Direction.DOWN)))
    assert isinstance(found, Plan)
    assert (found.before, found.version) == ((), 10)


def test_a_schema_that_was_taken_back_below_the_image_refuses() -> None:
    one = a_migration(0, EXPAND)
    records = (a_record(one, 2, Direction.DOWN), a_record(one, -1))
    found = back(chain("schema", records, NOON), RollbackMethod.REVISION)
    assert isinstance(found, Refusal)


def test_half_an_expansion_is_left_as_it_is() -> None:
    failed = a_record(a_migration(0, EXPAND), 1, outcome=Outcome.FAILURE)
    found = back(since(failed))
    assert isinstance(found, Plan)
    assert (found.before, found.after, found.version) == ((), (), None)


def test_half_a_contraction_refuses_and_says_how_to_mend_it() -> None:
    failed = a_record(a_migration(0, CONTRACT), 1, outcome=Outcome.FAILURE)
    for method in (None, *RollbackMethod):
        found = back(since(failed), method)
        assert isinstance(found, Refusal)
        assert "flowmaster migration settle schema production" in found.forward


def test_a_way_down_that_was_interrupted_is_gone_to_its_end() -> None:
    one = a_migration(0, EXPAND)
    begun = a_record(one, 2, Direction.DOWN, Outcome.INCONCLUSIVE)
    for method in (None, RollbackMethod.MIGRATION):
        found = back(since(a_record(one, 1), begun), method)
        assert isinstance(found, Plan)
        assert found.after == (one,)


def test_a_way_down_that_failed_is_for_people() -> None:
    one = a_migration(0, CONTRACT)
    failed = a_record(one, 2, Direction.DOWN, Outcome.FAILURE)
    assert isinstance(back(since(a_record(one, 1), failed)), Refusal)


@pytest.mark.parametrize(("version", "top"), [(11, 1), (10, 0)])
def test_a_mended_migration_counts_as_far_as_the_person_says(version: int, top: int) -> None:
    failed = a_record(a_migration(0, EXPAND), 1, outcome=Outcome.FAILURE)
    found = since(failed, settled(version, 2))
    assert (found.top, found.version(found.top), found.half) == (top, version, None)


def test_a_version_that_a_person_set_is_no_version_to_go_back_from() -> None:
    found = back(since(settled(10, -1), settled(15, 2)))
    assert isinstance(found, Refusal)
    assert "sam set the schema of schema from 10 to 15 by hand" in found.why


def test_the_first_word_on_a_schema_is_no_change_of_it() -> None:
    assert since(settled(10, 2)).top == 0


KINDS = st.lists(st.tuples(st.sampled_from(MigrationPhase), st.booleans()), max_size=5)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Chain, Going]:
    schema = applied(*draw(KINDS))
    levels = st.integers(0, schema.top)

    def an_image(name: str, level: int) -> Image:
        label = None
        if draw(st.booleans()):
            low, high = draw(st.integers(0, level)), draw(st.integers(level, schema.top))
            label = SchemaRange(10 + low, 10 + high)
        return Image(name, NOON + level * HOUR, label)

    beside = tuple(an_image(f"beside-{n}", draw(levels)) for n in range(draw(st.integers(0, 2))))
    leaves = tuple(an_image("engine", draw(levels)) for _ in range(1))
    return schema, Going(an_image("engine", 0), beside, leaves)


def truth(schema: Chain, image: Image, *, still: bool, leaving: bool) -> set[int]:
    """Levels that the image runs on, by what it ran on, its label, and what phases mean."""
    phases = [step.migration.phase for step in schema.steps]
    ran = schema.reached(image.since)
    top = schema.top if still else ran
    levels = set(range(ran, top + 1))
    while top < schema.top and phases[top] is EXPAND:
        top += 1
        levels.add(top)
    if image.needs:
        named = [n for n in range(schema.top + 1) if 10 + n in image.needs]
        levels |= set(named)
        last = named[-1] if named else schema.top
        while last < schema.top and phases[last] is EXPAND:
            last += 1
            levels.add(last)
    elif leaving:
        while ran and phases[ran - 1] is CONTRACT:
            ran -= 1
            levels.add(ran)
    return levels


def is_safe(schema: Chain, going: Going, swap: int, end: int) -> bool:
    """Walk it: at each level, everything that runs there runs on it."""
    if not all(step.migration.reversible for step in schema.steps[end:]):
        return False
    beside = [truth(schema, i, still=True, leaving=False) for i in going.beside]
    leaves = [truth(schema, i, still=True, leaving=True) for i in going.leaves]
    comes = truth(schema, going.comes, still=False, leaving=False)
    return all(level in runs for level in range(swap, schema.top + 1) for runs in leaves) and all(
        level in runs
        for runs in (*beside, comes)
        for level in range(end, (swap if runs is comes else schema.top) + 1)
    )


@settings(max_examples=300, deadline=None)
@given(situations(), st.sampled_from([None, *RollbackMethod]))
def test_at_each_moment_every_image_is_on_a_schema_that_it_runs_on(
    situation: tuple[Chain, Going], method: RollbackMethod | None
) -> None:
    schema, going = situation
    found = plan_back(schema, going, method)
    safe = [
        (swap, end)
        for swap in range(schema.top + 1)
        for end in range(swap + 1)
        if is_safe(schema, going, swap, end)
    ]
    if method is RollbackMethod.REVISION:
        safe = [way for way in safe if way == (schema.top, schema.top)]
    if isinstance(found, Refusal):
        assert safe == []
        assert "ship a version" in found.forward
        return
    swap = schema.top - len(found.before)
    end = swap - len(found.after)
    assert (swap, end) in safe
    downs = (*found.before, *found.after)
    assert downs == tuple(s.migration for s in reversed(schema.steps[end:]))
    assert end == (max if method is None else min)(way[1] for way in safe)


@settings(max_examples=200, deadline=None)
@given(situations(), st.sampled_from([None, RollbackMethod.MIGRATION]))
def test_after_each_step_the_rest_of_the_way_is_the_same(
    situation: tuple[Chain, Going], method: RollbackMethod | None
) -> None:
    schema, going = situation
    found = plan_back(schema, going, method)
    if isinstance(found, Refusal) or not found.before:
        return
    less = replace(schema, steps=schema.steps[:-1])
    rest = plan_back(less, going, method)
    assert isinstance(rest, Plan)
    assert (rest.before, rest.after) == (found.before[1:], found.after)
