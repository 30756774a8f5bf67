"""Who decides about a canary: people by orders, and the gate at each step."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import CanaryCommand
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Pod
from tests.flows.canary_stage import F, S, U, alone, untouched
from tests.flows.killing import (
    Stage,
    judged,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    ("command", "outcome", "words"),
    [
        (CanaryCommand.PROMOTE, S, "promoted by sam: so be it"),
        (CanaryCommand.ABORT, U, "aborted by sam: so be it"),
    ],
)
def test_whoever_is_asked_decides(
    stage: Stage, command: CanaryCommand, outcome: Outcome, words: str
) -> None:
    stage.verdicts = [U] * 1000
    tell = stage.notifier.tell

    def answer(event: object) -> None:
        tell(event)  # type: ignore[arg-type]
        stage.order(command)

    stage.notifier.tell = answer  # type: ignore[method-assign]
    done = stage.go()
    assert done.outcome is outcome
    assert words in done.message
    assert alone(stage)


def test_a_paused_canary_stays_and_goes_on_when_it_is_resumed(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.later(CanaryCommand.PAUSE)
    asked = []

    def judge(own: tuple[Pod, ...], *_: object) -> tuple[Judgement, ...]:
        asked.append(len(own))
        if len(asked) == 8:
            stage.order(CanaryCommand.RESUME)
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    assert stage.go().outcome is S
    assert asked == [1] * 8 + [2, 2]
    assert any("paused by sam" in words for words in stage.said)


def test_an_order_of_before_does_not_count(stage: Stage) -> None:
    stage.order(CanaryCommand.ABORT)
    stage.cluster.time.sleep(1)
    assert stage.go().outcome is S


def test_orders_that_cannot_be_read_hold_it(stage: Stage) -> None:
    real, failures = stage.history.canary_orders, [Unreachable("database is away")] * 3

    def orders(*names: str) -> object:
        if failures:
            raise failures.pop()
        return real(*names)

    stage.history.canary_orders = orders  # type: ignore[method-assign,assignment]
    assert stage.go().outcome is S
    assert any("orders cannot be read: database is away" in words for words in stage.said)


def test_orders_that_stay_unread_leave_the_canary_for_the_next_run(stage: Stage) -> None:
    real, away = stage.history.canary_orders, [True]

    def orders(*names: str) -> object:
        if away:
            raise Unreachable("database is away")
        return real(*names)

    stage.history.canary_orders = orders  # type: ignore[method-assign,assignment]
    done = stage.go()
    assert done.outcome is Outcome.ERROR
    assert "stands where it stood: orders cannot be read: database is away" in done.message
    assert "api-canary" in stage.cluster.deployments
    away.clear()
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 1


def test_a_failure_needs_no_orders_to_end_it(stage: Stage) -> None:
    def orders(*_: str) -> object:
        raise Unreachable("database is away")

    stage.history.canary_orders = orders  # type: ignore[method-assign,assignment]
    stage.verdicts = [F]
    assert stage.go().outcome is F
    assert alone(stage)


def test_a_gate_that_closes_before_the_next_step_ends_it(stage: Stage) -> None:
    answers = ["", "approvals: 1 of 2"]
    done = stage.go(still_admitted=lambda: answers.pop(0))
    assert done.outcome is U
    assert done.message == "canary of api: its gate has closed: approvals: 1 of 2"
    assert untouched(stage)
    assert alone(stage)


def test_a_gate_that_closes_before_stable_is_touched_ends_it(stage: Stage) -> None:
    answers = ["", "", "approvals: 1 of 2"]
    assert stage.go(still_admitted=lambda: answers.pop(0)).outcome is U
    assert untouched(stage)
    assert alone(stage)


def test_a_gate_that_is_closed_already_makes_no_canary(stage: Stage) -> None:
    assert stage.go(still_admitted=lambda: "hold: sam").outcome is U
    assert "create_canary" not in stage.cluster.calls


def test_an_order_to_promote_skips_the_judgement_and_never_the_gate(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.later(CanaryCommand.PROMOTE)
    answers = ["", "hold: sam"]
    assert stage.go(still_admitted=lambda: answers.pop(0)).outcome is U
    assert stage.asked_about == []
    assert untouched(stage)


def test_a_gate_that_cannot_be_asked_for_a_moment_is_waited_for(stage: Stage) -> None:
    failures = [Unreachable("gitlab is away")] * 2

    def asked() -> str:
        if stage.asked_about and failures:
            raise failures.pop()
        return ""

    assert stage.go(still_admitted=asked).outcome is S
    assert "the gate cannot be asked: gitlab is away" in stage.said


def test_a_gate_that_stays_away_ends_it_loudly(stage: Stage) -> None:
    def asked() -> str:
        if stage.asked_about:
            raise Unreachable("gitlab is away")
        return ""

    assert stage.go(still_admitted=asked).outcome is U
    assert [event.kind for event in stage.notifier.told] == ["canary_given_up"]
    assert alone(stage)
