"""What follows from a look at a canary."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.analysis import Figure, Limit
from flowmaster_delivery.model.canary import (
    Canary,
    CanaryCommand,
    CanaryOrder,
    CanaryRule,
    CanaryStep,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.policy.canary import (
    Decision,
    Look,
    Move,
    counting,
    decide,
    expiry,
    is_left_over,
    lost,
    percent,
    share,
    standing,
)
from flowmaster_delivery.policy.canary_marks import Ending, ending_mark, read, read_ending
from tests.builders import NOON, digest

S = timedelta(seconds=1)
RULE = CanaryRule(
    steps=(CanaryStep(1, 60 * S, 10), CanaryStep(2, 60 * S)),
    limits=(Limit(Figure.ERROR_RATE, 0.01, 60 * S),),
    look_every=20 * S,
    patience=120 * S,
    errors_in_a_row=3,
    deadline=600 * S,
)
CANARY = Canary(digest(), "run-1", 7, NOON - 10 * S, NOON + timedelta(hours=3), step_began=NOON)


def at(seconds: float) -> datetime:
    return NOON + seconds * S


def seen(outcome: Outcome, seconds: float, errors: int = 0) -> Look:
    return Look(outcome, at(seconds), f"it is {outcome}", errors)


def told(command: CanaryCommand, seconds: float) -> CanaryOrder:
    return CanaryOrder("api", "production", command, "sam", "so be it", at(seconds))


def ask(look: Look | None, seconds: float, *orders: CanaryOrder, **canary: object) -> Decision:
    found = replace(CANARY, **canary)  # type: ignore[arg-type]
    return decide(found, RULE, look, counting(orders, found), at(seconds))


def test_a_success_before_the_end_of_the_pause_waits() -> None:
    assert ask(seen(Outcome.SUCCESS, 59), 59).move is Move.WAIT


def test_the_judgement_that_counts_is_one_of_the_end_of_the_pause() -> None:
    assert ask(seen(Outcome.SUCCESS, 59), 61).move is Move.WAIT
    assert ask(seen(Outcome.SUCCESS, 60), 61).move is Move.STEP


def test_a_success_at_the_end_of_the_last_step_promotes() -> None:
    assert ask(seen(Outcome.SUCCESS, 60), 60, step=1).move is Move.PROMOTE


def test_a_failure_ends_it_at_once() -> None:
    found = ask(seen(Outcome.FAILURE, 20), 20)
    assert (found.move, found.outcome, found.words) == (Move.END, Outcome.FAILURE, "it is failure")


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.ERROR])
def test_what_is_not_known_holds_and_then_a_person_is_asked(outcome: Outcome) -> None:
    held, asks = ask(seen(outcome, 170), 170), ask(seen(outcome, 180), 180)
    assert (held.move, held.ask) == (Move.WAIT, False)
    assert (asks.move, asks.ask) == (Move.WAIT, True)


def test_a_person_is_asked_once() -> None:
    assert ask(seen(Outcome.INCONCLUSIVE, 200), 200, asked_at=at(180)).ask is False


def test_errors_in_a_row_ask_a_person_before_the_pause_is_over() -> None:
    assert ask(seen(Outcome.ERROR, 40, errors=2), 40).ask is False
    assert ask(seen(Outcome.ERROR, 40, errors=3), 40).ask is True


def test_figures_that_come_back_in_time_let_it_go_on() -> None:
    assert ask(seen(Outcome.SUCCESS, 200), 200, asked_at=at(180)).move is Move.STEP


def test_whoever_was_asked_and_says_nothing_loses_the_canary_loudly() -> None:
    asked = at(180)
    assert ask(seen(Outcome.ERROR, 700), 779, asked_at=asked).move is Move.WAIT
    found = ask(seen(Outcome.ERROR, 700), 780, asked_at=asked)
    assert (found.move, found.outcome, found.loud) == (Move.END, Outcome.INCONCLUSIVE, True)


def test_a_paused_canary_stays_where_it_is_and_is_judged_on() -> None:
    paused = told(CanaryCommand.PAUSE, 30)
    assert ask(seen(Outcome.SUCCESS, 90), 90, paused).words == "paused by sam: so be it"
    assert ask(seen(Outcome.FAILURE, 90), 90, paused).move is Move.END


def test_a_canary_that_nobody_resumes_is_taken_away_loudly() -> None:
    found = ask(seen(Outcome.SUCCESS, 630), 630, told(CanaryCommand.PAUSE, 30))
    assert (found.move, found.loud) == (Move.END, True)


def test_resumed_it_goes_on_by_its_judgement() -> None:
    orders = told(CanaryCommand.PAUSE, 30), told(CanaryCommand.RESUME, 90)
    assert ask(seen(Outcome.SUCCESS, 91), 91, *orders).move is Move.STEP


def test_resumed_it_has_its_patience_anew() -> None:
    resumed = told(CanaryCommand.RESUME, 700)
    held = ask(seen(Outcome.INCONCLUSIVE, 790), 790, resumed, asked_at=at(180))
    assert (held.move, held.ask) == (Move.WAIT, False)
    assert ask(seen(Outcome.INCONCLUSIVE, 820), 820, resumed, asked_at=at(180)).ask is True


def test_promoted_by_a_person_it_needs_no_judgement() -> None:
    found = ask(None, 1, told(CanaryCommand.PROMOTE, 1))
    assert (found.move, found.words) == (Move.PROMOTE, "promoted by sam: so be it")


def test_aborted_by_a_person_it_ends_without_being_called_bad() -> None:
    found = ask(seen(Outcome.SUCCESS, 10), 10, told(CanaryCommand.ABORT, 5))
    assert (found.move, found.outcome) == (Move.END, Outcome.INCONCLUSIVE)


def test_the_newest_direction_counts() -> None:
    orders = told(CanaryCommand.PROMOTE, 1), told(CanaryCommand.ABORT, 2)
    assert ask(None, 3, *orders).move is Move.END


def test_an_order_to_an_earlier_canary_does_not_count() -> None:
    assert ask(None, 3, told(CanaryCommand.ABORT, -11)).move is Move.WAIT


def test_a_share_that_is_not_what_it_should_be_goes_nowhere() -> None:
    unready = "1 of 2 new replicas are available"
    found = decide(CANARY, RULE, seen(Outcome.SUCCESS, 60), (), at(60), unready=unready)
    assert (found.move, found.words) == (Move.WAIT, unready)


def test_it_stands_where_it_stands_in_words_with_figures() -> None:
    of = share(CANARY, RULE.steps[0], 1, 3)
    words = "0.3 % of 412 requests failed, 1 % may"
    assert standing(CANARY, RULE, of, words, at(32)) == (
        "canary 1 of 4 pods, step 1 of 2, 32 s of 60 s: 0.3 % of 412 requests failed, 1 % may"
    )


def test_a_weight_is_told_as_a_weight_and_comes_from_the_pods_where_none_is_said() -> None:
    assert share(replace(CANARY, weighted=True), RULE.steps[0], 1, 3) == "10 % by route"
    assert percent(RULE.steps[1], 6) == 25


def test_an_ending_is_lost_until_a_run_of_its_token_is_on_record() -> None:
    ending = Ending(digest(), 7, Outcome.FAILURE, "it failed: much")
    assert lost(ending, digest(), ()) == ending
    assert lost(ending, digest("other"), ()) is None
    assert lost(None, digest(), ()) is None


def test_what_is_not_of_our_form_is_left_over() -> None:
    assert is_left_over(None, digest(), NOON)
    assert is_left_over(CANARY, digest("other"), NOON)
    assert is_left_over(CANARY, digest(), CANARY.expires_at)
    assert not is_left_over(CANARY, digest(), NOON)


def test_a_verdict_that_was_not_carried_out_does_not_expire() -> None:
    failed = replace(CANARY, verdict=Outcome.FAILURE)
    assert not is_left_over(failed, digest(), CANARY.expires_at)


def test_it_expires_after_all_that_it_may_wait_for() -> None:
    assert expiry(RULE, 300 * S, NOON) > NOON + sum((s.pause for s in RULE.steps), RULE.deadline)


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(tzinfo=NOON.tzinfo)
)
canaries = st.builds(
    Canary,
    digest=st.just(digest()),
    run_id=st.text("abc-123", min_size=1),
    token=st.integers(0, 10**6),
    started_at=moments,
    expires_at=moments,
    step=st.integers(0, 1),
    step_began=st.none() | moments,
    asked_at=st.none() | moments,
    weighted=st.booleans(),
    version=st.none() | st.just("v1.2.3"),
    said=st.text(max_size=100),
    verdict=st.none() | st.sampled_from(Outcome),
)


@given(canaries)
def test_what_is_written_of_a_canary_is_read_again(canary: Canary) -> None:
    written = {key: value for key, value in canary_marks.marks(canary).items() if value is not None}
    assert read(written) == canary


@given(st.builds(Ending, st.just(digest()), st.integers(0), st.sampled_from(Outcome), st.text()))
def test_what_is_written_of_an_ending_is_read_again(ending: Ending) -> None:
    marks = {key: value or "" for key, value in ending_mark(ending).items()}
    assert read_ending(marks) == replace(ending, words=ending.words[:1000])


@given(st.dictionaries(st.sampled_from(sorted(canary_marks.marks(CANARY))), st.text()))
def test_annotations_of_somebody_else_are_no_canary(annotations: dict[str, str]) -> None:
    assert read(annotations) is None or "flowmaster.ai/canary-step" in annotations


looks = st.none() | st.builds(
    seen, st.sampled_from(Outcome), st.integers(0, 1000), st.integers(0, 5)
)
orders = st.lists(
    st.builds(told, st.sampled_from(CanaryCommand), st.integers(-20, 1000)), max_size=4
)


@given(canaries, looks, orders, st.integers(0, 2000), st.sampled_from(["", "not ready"]))
def test_it_goes_on_by_a_success_or_by_an_order_and_never_against_a_failure(
    canary: Canary, look: Look | None, given_: list[CanaryOrder], seconds: int, unready: str
) -> None:
    found = replace(canary, started_at=NOON - 10 * S, step_began=NOON)
    counted = counting(given_, found)
    decision = decide(found, RULE, look, counted, at(seconds), unready=unready)
    directed = next((o.command for o in counted if o.command in ("promote", "abort")), None)
    if decision.move in (Move.STEP, Move.PROMOTE) and directed is not CanaryCommand.PROMOTE:
        assert look is not None
        assert look.outcome is Outcome.SUCCESS
        assert look.at >= at(60)
        assert not unready
    if look is not None and look.outcome is Outcome.FAILURE and directed is None:
        assert (decision.move, decision.outcome) == (Move.END, Outcome.FAILURE)
    if decision.outcome is Outcome.FAILURE:
        assert look is not None
        assert look.outcome is Outcome.FAILURE
