"""A canary from its creation to its end: good images, bad ones, and figures that say nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import Traffic
from flowmaster_delivery.model.errors import Refused, Unreachable
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.rollout import PodProblem
from tests.flows.canary_stage import E, F, S, U, alone, untouched
from tests.flows.killing import (
    NEW,
    OLD,
    RULE,
    Stage,
    judged,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_good_image_comes_by_steps_and_then_as_a_whole(stage: Stage) -> None:
    done = stage.go()
    assert done.outcome is S, done.message
    assert stage.cluster.deployments["api"].images["api"] == NEW
    assert alone(stage)
    assert done.previous_digest == OLD.rpartition("@")[2]
    assert done.message == "api: 3 of 3 replicas run it; its canary: judged success"
    writes = [c for c in stage.cluster.calls if c in ("create_canary", "set_image", "remove")]
    assert writes == ["create_canary", "set_image", "remove"]


def test_it_says_its_share_and_where_it_stands(stage: Stage) -> None:
    stage.go()
    assert "canary 1 of 4 pods, step 1 of 2, 2 s of 4 s: judged success" in stage.said
    assert "canary 2 of 5 pods, step 2 of 2, 2 s of 4 s: judged success" in stage.said


def test_it_is_judged_beside_stable_since_its_own_pods_were_ready_in_this_share(
    stage: Stage,
) -> None:
    stage.go()
    assert [(own, beside) for own, beside, _ in stage.asked_about] == [
        (1, 3),
        (1, 3),
        (2, 3),
        (2, 3),
    ]
    begins = [began for *_, began in stage.asked_about]
    assert begins[0] == begins[1] < begins[2] == begins[3]


def test_one_lease_is_held_from_the_canary_to_the_end(stage: Stage) -> None:
    done = stage.go()
    assert stage.cluster.calls.count("acquire") == 1
    assert stage.cluster.deployments["api"].annotations["flowmaster.ai/fencing-token"] == "1"
    assert done.token == 1
    assert stage.cluster.leases["api"].holder == ""


def test_the_lease_is_renewed_through_a_long_pause(stage: Stage) -> None:
    steps = tuple(replace(step, pause=timedelta(minutes=5)) for step in RULE.steps)
    stage.rule = replace(RULE, steps=steps)
    assert stage.go().outcome is S
    assert stage.cluster.calls.count("renew") >= 600 / 10


def test_a_bad_image_is_taken_away_at_once_and_stable_is_not_touched(stage: Stage) -> None:
    stage.verdicts = [F]
    done = stage.go()
    assert (done.outcome, done.message) == (F, "canary of api: judged failure")
    assert untouched(stage)
    assert alone(stage)
    assert "set_image" not in stage.cluster.calls
    assert [j.outcome for j in done.judgements] == [F]


def test_a_bad_image_has_no_requests_before_it_has_no_pods() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.ROUTE), verdicts=[F])
    stage.cluster.weights["api"] = 0
    assert stage.go().outcome is F
    calls = [c for c in stage.cluster.calls if c in ("weigh", "scale", "remove")]
    assert calls == ["weigh", "weigh", "weigh", "scale", "remove"]
    assert alone(stage)


def test_weights_of_a_route_follow_the_steps_and_are_taken_back() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.AUTO))
    stage.cluster.weights["api"] = 0
    seen = []

    def judge(*_: object) -> tuple[Judgement, ...]:
        seen.append(stage.cluster.weights["api"])
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    assert stage.go().outcome is S
    assert seen == [10, 10, 50, 50]
    assert stage.cluster.weights["api"] == 0
    assert any("10 % by route" in words for words in stage.said)


def test_without_a_route_auto_lets_pods_make_the_share() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.AUTO))
    assert stage.go().outcome is S
    assert any("1 of 4 pods" in words for words in stage.said)


def test_without_a_route_a_share_by_route_is_refused_before_anything_is_made() -> None:
    stage = Stage(rule=replace(RULE, traffic=Traffic.ROUTE))
    with pytest.raises(Refused, match="no HTTPRoute leads to api"):
        stage.go()
    assert "create_canary" not in stage.cluster.calls


def test_pods_that_do_not_start_end_it_early(stage: Stage) -> None:
    stage.cluster.problems[NEW] = PodProblem("api-canary-x", "api", "ErrImagePull", "not found")
    done = stage.go()
    assert done.outcome is F
    assert "not found" in done.message
    assert untouched(stage)
    assert alone(stage)


def test_pods_that_crash_during_the_pause_end_it(stage: Stage) -> None:
    crash = PodProblem("api-canary-x", "api", "CrashLoopBackOff", "back-off", restarts=5)

    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.problems[NEW] = crash
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is F
    assert "CrashLoopBackOff" in done.message
    assert alone(stage)


def test_no_traffic_holds_then_asks_a_person_and_goes_loudly_in_the_end(stage: Stage) -> None:
    stage.verdicts = [U] * 1000
    started = stage.cluster.time.seconds
    done = stage.go()
    assert done.outcome is U
    assert "nobody decided" in done.message
    assert [event.kind for event in stage.notifier.told] == ["canary_asks", "canary_given_up"]
    assert stage.notifier.told[1].severity is Severity.CRITICAL
    assert 40 <= stage.cluster.time.seconds - started < 50
    assert untouched(stage)
    assert alone(stage)


def test_figures_that_are_away_roll_nothing_back_and_ask_a_person(stage: Stage) -> None:
    stage.verdicts = [E] * 1000
    done = stage.go()
    assert done.outcome is U
    assert [event.kind for event in stage.notifier.told] == ["canary_asks", "canary_given_up"]


def test_figures_that_are_away_for_a_moment_are_nobodys_business(stage: Stage) -> None:
    stage.verdicts = [E]
    assert stage.go().outcome is S
    assert stage.notifier.told == []


def test_an_error_of_the_judge_is_an_error_and_no_failure(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        raise Unreachable("prometheus does not answer")

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "prometheus does not answer" in done.message
