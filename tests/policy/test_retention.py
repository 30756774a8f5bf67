"""What may be removed: nothing that is evidence, nothing that something else still needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.retention import Line, OldRun, RetentionRule, RunEnd
from flowmaster_delivery.policy.retention import heartbeats, lines_of_runs, why_kept, why_removed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULE = RetentionRule()
EMPTY = OldRun("r1", RunEnd.FAILURE, NOW - timedelta(days=91), began=True, ships=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"records": 1}, "evidence: they recorded what was done"),
        ({"touched": True}, "evidence: they began to change a service"),
        ({"answers": 12}, "evidence: they say why something was refused"),
        ({"has_followers": True}, "other runs were started again from them"),
        ({"newest_of_ref": True}, "the last of their ref: it would be delivered once more"),
        ({"at": NOW - timedelta(days=89)}, "not 90 days old yet"),
    ],
)
def test_what_is_evidence_or_needed_stays(changes: dict[str, object], why: str) -> None:
    assert why_kept(replace(EMPTY, **changes), RULE, NOW) == why  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"began": False, "ended": RunEnd.CANCELED}, "called off before they began"),
        ({"began": False}, "refused before they began"),
        ({"ended": RunEnd.SUCCESS, "ships": False, "answers": 12}, "only asked what would happen"),
        ({"ships": False, "answers": 3}, "only asked what would happen"),
        ({}, "ended before anything happened"),
    ],
)
def test_what_is_evidence_of_nothing_goes(changes: dict[str, object], why: str) -> None:
    run = replace(EMPTY, **changes)  # type: ignore[arg-type]
    assert why_kept(run, RULE, NOW) == ""
    assert why_removed(run) == why


def test_each_reason_has_its_number_and_what_is_removed_comes_first() -> None:
    runs = [EMPTY, EMPTY, replace(EMPTY, records=1), replace(EMPTY, began=False)]
    assert lines_of_runs(runs, RULE, NOW) == (
        Line("runs", "ended before anything happened", 2, True),
        Line("runs", "refused before they began", 1, True),
        Line("runs", "evidence: they recorded what was done", 1, False),
    )


def look(
    minutes: int, state: HealthState = HealthState.HEALTHY, digest: str = "d"
) -> tuple[int, HealthObservation]:
    at = NOW + timedelta(minutes=minutes)
    return minutes, HealthObservation("api", "dev", state, digest, f"f-{digest}", at)


def test_looks_between_two_that_say_the_same_go() -> None:
    assert list(heartbeats([look(n) for n in range(6)])) == [1, 2, 3, 4]
    assert list(heartbeats([])) == list(heartbeats([look(0)])) == []
    assert list(heartbeats([look(0), look(1)])) == []


def test_both_sides_of_a_change_stay_and_so_does_all_that_was_not_well() -> None:
    bad = [look(n, HealthState.DEGRADED) for n in range(3, 7)]
    after = [look(n) for n in range(7, 10)]
    other = [look(n, digest="e") for n in range(10, 13)]
    gone = list(heartbeats([look(0), look(1), look(2), *bad, *after, *other]))
    assert gone == [1, 8, 11]


STATES = st.lists(
    st.tuples(st.sampled_from([HealthState.HEALTHY, HealthState.DEGRADED]), st.sampled_from("de")),
    max_size=40,
)


@given(STATES)
def test_what_stays_tells_the_same_story_and_nothing_more_goes_the_next_time(
    states: list[tuple[HealthState, str]],
) -> None:
    looks = [look(n, state, digest) for n, (state, digest) in enumerate(states)]
    gone = set(heartbeats(looks))
    left = [one for one in looks if one[0] not in gone]
    assert _changes(left) == _changes(looks)
    assert [one for one in looks if one[1].state is not HealthState.HEALTHY] == [
        one for one in left if one[1].state is not HealthState.HEALTHY
    ]
    assert list(heartbeats(left)) == []


def _changes(looks: list[tuple[int, HealthObservation]]) -> list[tuple[int, object]]:
    """When each period began, and when it ended."""
    told, before = list[tuple[int, object]](), None
    for number, one in looks:
        now = (one.state, one.digest)
        if now != before:
            told.append((number, now))
        before = now
    return told
