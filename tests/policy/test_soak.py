"""Soak: only healthy time that somebody watched counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState
from flowmaster_delivery.policy.soak import observed
from tests.builders import FINGERPRINT, NOON, a_look, looks

RULE = HealthRule()
BEAT = RULE.heartbeat
HOUR = timedelta(hours=1)


def earned(observations: tuple[HealthObservation, ...], after: timedelta = 100 * HOUR) -> timedelta:
    return observed(observations, FINGERPRINT, RULE, NOON + after).earned


def test_healthy_looks_at_every_heartbeat_count_from_first_to_last() -> None:
    soak = observed(looks(NOON, NOON + 5 * HOUR), FINGERPRINT, RULE, NOON + 5 * HOUR)
    assert (soak.earned, soak.since, soak.here) == (5 * HOUR, NOON, True)


def test_time_after_the_last_look_does_not_count_yet() -> None:
    assert earned(looks(NOON, NOON + HOUR), after=HOUR + BEAT) == HOUR


def test_no_looks_earn_nothing() -> None:
    assert observed((), FINGERPRINT, RULE, NOON).earned == timedelta(0)


def test_a_gap_longer_than_two_heartbeats_pauses_and_does_not_reset() -> None:
    later = NOON + 3 * HOUR
    seen = (*looks(NOON, NOON + HOUR), *looks(later, later + HOUR))
    soak = observed(seen, FINGERPRINT, RULE, later + HOUR)
    assert (soak.earned, soak.paused) == (2 * HOUR, 2 * HOUR)


def test_a_gap_of_exactly_two_heartbeats_counts() -> None:
    assert earned((a_look(NOON), a_look(NOON + 2 * BEAT))) == 2 * BEAT


@pytest.mark.parametrize("state", [HealthState.DEGRADED, HealthState.MISSING])
def test_unhealthy_for_enough_looks_in_a_row_begins_anew(state: HealthState) -> None:
    bad = a_look(NOON + HOUR + BEAT, state, failures=3)
    seen = (*looks(NOON, NOON + HOUR), bad, *looks(NOON + 2 * HOUR, NOON + 3 * HOUR))
    soak = observed(seen, FINGERPRINT, RULE, NOON + 3 * HOUR)
    assert (soak.earned, soak.broken) == (HOUR, bad)


def test_a_single_blip_neither_resets_nor_pauses() -> None:
    blip = a_look(NOON + BEAT, HealthState.DEGRADED, failures=1)
    mended = NOON + BEAT + RULE.look_every
    assert earned((a_look(NOON), blip, *looks(mended, mended + BEAT))) == 2 * BEAT + RULE.look_every


def test_looks_that_could_not_be_made_pause_although_they_are_no_failures() -> None:
    away = tuple(a_look(NOON + HOUR + BEAT * n, HealthState.UNKNOWN) for n in range(1, 4))
    back = NOON + HOUR + 4 * BEAT
    seen = (*looks(NOON, NOON + HOUR), *away, *looks(back, back + HOUR))
    assert earned(seen) == 2 * HOUR + BEAT


def test_an_unhealthy_look_that_nobody_followed_up_pauses_until_it_is_healthy_again() -> None:
    bad = a_look(NOON + BEAT, HealthState.DEGRADED, failures=1)
    seen = (a_look(NOON), bad, a_look(NOON + 2 * BEAT), a_look(NOON + 3 * BEAT))
    assert earned(seen) == 2 * BEAT


@pytest.mark.parametrize("state", [HealthState.UNKNOWN, HealthState.PROGRESSING])
def test_what_lasts_without_being_a_failure_pauses_only(state: HealthState) -> None:
    bad = a_look(NOON + HOUR + BEAT, state, failures=3)
    later = NOON + HOUR + 2 * BEAT
    seen = (*looks(NOON, NOON + HOUR), bad, *looks(later, later + HOUR))
    assert earned(seen) == 2 * HOUR


def test_a_missing_workload_without_a_fingerprint_breaks_the_soak_of_what_ran() -> None:
    gone = a_look(NOON + HOUR + BEAT, HealthState.MISSING, failures=3, fingerprint=None)
    assert earned((*looks(NOON, NOON + HOUR), gone)) == timedelta(0)


def test_a_healthy_look_that_does_not_know_what_runs_proves_nothing() -> None:
    blind = tuple(a_look(NOON + BEAT * n, fingerprint=None) for n in range(10))
    assert earned(blind) == timedelta(0)


def test_another_fingerprint_earns_nothing_for_ours() -> None:
    other = tuple(a_look(NOON + BEAT * n, fingerprint="other") for n in range(10))
    assert earned(other) == timedelta(0)


def test_upstream_moving_on_takes_nothing_away() -> None:
    seen = (*looks(NOON, NOON + HOUR), a_look(NOON + 2 * HOUR, fingerprint="next"))
    soak = observed(seen, FINGERPRINT, RULE, NOON + timedelta(days=13))
    assert (soak.earned, soak.here, soak.expired) == (HOUR, False, False)


def test_what_was_earned_longer_than_fourteen_days_ago_is_gone() -> None:
    seen = (*looks(NOON, NOON + HOUR), a_look(NOON + 2 * HOUR, fingerprint="next"))
    soak = observed(seen, FINGERPRINT, RULE, NOON + timedelta(days=15))
    assert (soak.earned, soak.expired) == (timedelta(0), True)


def test_a_fingerprint_that_comes_back_goes_on_where_it_was() -> None:
    back = NOON + 3 * HOUR
    moved_on = a_look(NOON + 2 * HOUR, fingerprint="next")
    seen = (*looks(NOON, NOON + HOUR), moved_on, *looks(back, back + HOUR))
    assert earned(seen) == 2 * HOUR


def test_a_fingerprint_that_comes_back_too_late_begins_anew() -> None:
    back = NOON + timedelta(days=20)
    moved_on = a_look(NOON + 2 * HOUR, fingerprint="next")
    seen = (*looks(NOON, NOON + HOUR), moved_on, *looks(back, back + HOUR / 2))
    soak = observed(seen, FINGERPRINT, RULE, back + HOUR / 2)
    assert (soak.earned, soak.since) == (HOUR / 2, back)


def test_a_clock_that_jumps_far_ahead_earns_nothing_by_it() -> None:
    seen = (*looks(NOON, NOON + HOUR), a_look(NOON + timedelta(days=2)))
    assert earned(seen) == HOUR


def test_a_look_from_the_future_is_left_out() -> None:
    seen = (*looks(NOON, NOON + HOUR), a_look(NOON + HOUR + BEAT))
    assert earned(seen, after=HOUR) == HOUR


def test_a_clock_that_jumps_back_counts_no_time_twice() -> None:
    seen = (*looks(NOON, NOON + HOUR), *looks(NOON, NOON + HOUR))
    assert earned(seen) == HOUR


def test_it_says_when_it_will_be_complete_at_a_heartbeat() -> None:
    now = NOON + HOUR
    soak = observed(looks(NOON, now), FINGERPRINT, RULE, now)
    required = 2 * HOUR + timedelta(minutes=1)
    assert soak.complete_at(required, RULE, now) == now + HOUR + BEAT


def test_nothing_is_promised_while_it_is_not_healthy() -> None:
    blip = a_look(NOON + HOUR, HealthState.DEGRADED, failures=1)
    soak = observed((*looks(NOON, NOON + HOUR - BEAT), blip), FINGERPRINT, RULE, NOON + HOUR)
    assert soak.complete_at(2 * HOUR, RULE, NOON + HOUR) is None


def test_nothing_is_promised_when_nobody_looks_any_more() -> None:
    soak = observed(looks(NOON, NOON + HOUR), FINGERPRINT, RULE, NOON + 2 * HOUR)
    assert soak.complete_at(2 * HOUR, RULE, NOON + 2 * HOUR) is None


STATES = st.sampled_from(list(HealthState))
STEPS = st.lists(
    st.tuples(
        st.integers(-3_000, 3_000),
        STATES,
        st.integers(0, 5),
        st.sampled_from([FINGERPRINT, "other", None]),
    ),
    max_size=25,
)
QUICK = settings(max_examples=60, deadline=None)


def history(steps: list[tuple[int, HealthState, int, str | None]]) -> list[HealthObservation]:
    at, seen = NOON, []
    for seconds, state, failures, fingerprint in steps:
        at += timedelta(seconds=seconds)
        failed = 0 if state is HealthState.HEALTHY else max(failures, 1)
        seen.append(a_look(at, state, failures=failed, fingerprint=fingerprint))
    return seen


@QUICK
@given(STEPS)
def test_never_more_than_the_wall_time_between_first_and_last_look(
    steps: list[tuple[int, HealthState, int, str | None]],
) -> None:
    seen = history(steps)
    times = [one.at for one in seen]
    wall = max(times) - min(times) if times else timedelta(0)
    soak = observed(seen, FINGERPRINT, RULE, NOON + timedelta(days=1))
    assert timedelta(0) <= soak.earned <= wall


@QUICK
@given(STEPS, st.integers(0, 24))
def test_a_healthy_look_turned_bad_never_earns_more(
    steps: list[tuple[int, HealthState, int, str | None]], which: int
) -> None:
    seen = history(steps)
    healthy = [i for i, one in enumerate(seen) if one.state is HealthState.HEALTHY]
    if not healthy:
        return
    index = healthy[which % len(healthy)]
    good = seen[index]
    worse = list(seen)
    worse[index] = a_look(good.at, HealthState.DEGRADED, failures=3, fingerprint=good.fingerprint)
    now = NOON + timedelta(days=1)
    before = observed(seen, FINGERPRINT, RULE, now).earned
    if good.fingerprint is not None:
        assert observed(worse, FINGERPRINT, RULE, now).earned <= before


@QUICK
@given(st.lists(st.integers(1, 4_000), max_size=20))
def test_gaps_never_count(steps: list[int]) -> None:
    at, seen = NOON, [a_look(NOON)]
    for seconds in steps:
        at += timedelta(seconds=seconds)
        seen.append(a_look(at))
    within = sum(seconds for seconds in steps if seconds <= RULE.longest_gap.total_seconds())
    assert observed(seen, FINGERPRINT, RULE, at).earned == timedelta(seconds=within)
