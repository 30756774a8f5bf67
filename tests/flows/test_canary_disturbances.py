"""What others do to a canary and its service while it is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Goal, Pace
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.errors import NotFound, Refused, Superseded, Unreachable
from tests.flows.canary_stage import CANARY, E, S, U, alone, killed_at, untouched
from tests.flows.killing import (
    API,
    OLD,
    OTHER,
    RULE,
    Stage,
    judged,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    "changes",
    [{"desired": 0, "updated": 0, "total": 0, "available": 0}, {"paused": True}],
    ids=["scaled to nothing", "paused"],
)
def test_nothing_to_compare_with_means_no_canary(stage: Stage, changes: dict[str, object]) -> None:
    stage.cluster.edit("api", **changes)
    stage.go()
    assert "create_canary" not in stage.cluster.calls
    assert "set_image" in stage.cluster.calls


def test_an_image_that_runs_already_is_not_tried(stage: Stage) -> None:
    done = stage.go(digest=OLD.rpartition("@")[2])
    assert (done.outcome, done.changed) == (S, False)
    assert stage.cluster.calls == ["canaries", "workload", "workload"]


def test_replicas_of_stable_are_followed_and_never_written(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.cluster.edit(
        "api", desired=5, updated=5, total=5, available=5
    )
    assert stage.go().outcome is S
    assert stage.cluster.deployments["api"].desired == 5
    assert any("1 of 6 pods" in words for words in stage.said)


def test_an_image_that_somebody_else_sets_meanwhile_stands(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.edit("api", images={"api": OTHER, "proxy": "proxy@sha256:0"})
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "by another writer" in done.message
    assert stage.cluster.deployments["api"].images["api"] == OTHER
    assert alone(stage)


def test_a_deployment_that_is_deleted_under_us_takes_its_canary_along(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        del stage.cluster.deployments["api"]
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "there is no Deployment api" in done.message
    assert stage.cluster.deployments == {}


def test_a_canary_whose_service_is_gone_goes_too(stage: Stage) -> None:
    killed_at(stage, "set_image")
    del stage.cluster.deployments["api"]
    with pytest.raises(NotFound):
        stage.go("run-2")
    assert stage.cluster.deployments == {}


def test_a_canary_that_somebody_deletes_is_not_made_again(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.deployments.pop(CANARY, None)
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "the canary of api is gone" in done.message
    assert untouched(stage)


def test_a_cluster_that_is_away_for_a_while_is_waited_for(stage: Stage) -> None:
    stage.cluster.on_call["wait_for_change"] = lambda: stage.cluster.failing.update(
        pods=[Unreachable("gone")] * 10
    )
    assert stage.go().outcome is S


def test_a_cluster_that_stays_away_leaves_the_canary_for_the_next_run(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.cluster.failing["workload"] = [Unreachable("gone")] * 200
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is E
    assert "stands where it stood" in done.message
    stage.judge = None
    stage.cluster.failing.clear()
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 1


def test_a_lease_that_is_lost_stops_it_without_another_write(stage: Stage) -> None:
    stage.rule = replace(RULE, steps=(replace(RULE.steps[0], pause=timedelta(minutes=1)),))
    lost = {"renew": [Superseded("run-9 has taken over api")]}
    stage.cluster.on_call["wait_for_change"] = lambda: stage.cluster.failing.update(lost)
    done = stage.go()
    assert (done.outcome, done.message) == (U, "run-9 has taken over api")
    assert CANARY in stage.cluster.deployments


def test_a_canary_that_was_made_after_somebody_took_over_is_taken_away_by_its_maker(
    stage: Stage,
) -> None:
    """Whoever took over looked for one before it was there."""
    stage.cluster.failing["renew"] = [Superseded("run-9 has taken over api")]
    done = stage.go()
    assert (done.outcome, done.message) == (U, "run-9 has taken over api")
    assert alone(stage)


def test_a_rollback_takes_the_canary_away_and_the_older_run_stops(stage: Stage) -> None:
    time = stage.cluster.time

    def judge(*_: object) -> tuple[Judgement, ...]:
        goal = Goal(API, OLD, {}, 60.0, preempt=True)
        back = bring(goal, stage.cluster, "run-9", Pace(time.now, sleep=time.sleep))
        assert back.outcome is S
        assert alone(stage)
        return (judged(S, "fine", time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert untouched(stage)
    assert alone(stage)
    assert stage.cluster.calls.count("set_image") == 0


def test_a_canary_that_cannot_be_taken_away_keeps_no_rollback_waiting(stage: Stage) -> None:
    killed_at(stage, "set_image")
    stage.cluster.failing["remove"] = [Refused("not ours")]
    said = []
    pace = Pace(
        stage.cluster.time.now,
        lambda p: said.append(p.message),
        monotonic=stage.cluster.time.monotonic,
        sleep=stage.cluster.time.sleep,
    )
    goal = Goal(API, OTHER, {}, 60.0, preempt=True)
    assert bring(goal, stage.cluster, "run-9", pace).outcome is S
    assert "a canary of api may be left, and is taken away later: not ours" in said


def test_a_canceled_run_takes_its_canary_away_and_may_be_tried_again(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        stage.canceled = True
        return (judged(S, "fine", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert done.outcome is U
    assert "canceled" in done.message
    assert untouched(stage)
    assert alone(stage)
    stage.canceled, stage.judge = False, None
    assert stage.go("run-2").outcome is S


def test_a_jump_of_the_clock_does_not_shorten_a_pause(stage: Stage) -> None:
    def judge(*_: object) -> tuple[Judgement, ...]:
        asked.append(stage.cluster.time.seconds)
        stage.jump += timedelta(hours=1)
        return (judged(S, "fine", stage.cluster.time.now()),)

    asked: list[float] = []
    stage.judge = judge
    assert stage.go().outcome is S
    assert len(asked) == 4
    assert asked[1] - asked[0] >= 2


def test_judgements_are_kept_once_each_and_the_last_ones_stay(stage: Stage) -> None:
    stage.rule = replace(RULE, patience=timedelta(minutes=5), deadline=timedelta(seconds=2))
    count = iter(range(1000))

    def judge(*_: object) -> tuple[Judgement, ...]:
        return (judged(U, f"{next(count)} requests are too few", stage.cluster.time.now()),)

    stage.judge = judge
    done = stage.go()
    assert len(done.judgements) == 60
    assert done.judgements[-1].words in done.message


def test_what_another_run_holds_is_refused_with_its_name(stage: Stage) -> None:
    stage.cluster.acquire("api", "run-0", preempt=False, ttl=1_000)
    with pytest.raises(Refused, match="run-0"):
        stage.go()
    assert "create_canary" not in stage.cluster.calls


# The janitor
