"""Canaries that were left: swept away, or gone on with from wherever the run was killed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.flows.canary.trying import sweep
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import CanaryCommand
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Pod
from flowmaster_delivery.policy.canary_marks import LAST
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.flows.canary_stage import CANARY, CATALOG, F, S, alone, killed_at, untouched
from tests.flows.kill_point import KillPoint
from tests.flows.killing import (
    API,
    NEW,
    OTHER,
    OTHER_DIGEST,
    PRODUCTION,
    STORIES,
    Stage,
    kill_points,
    survived,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_canary_of_another_image_is_removed_before_a_new_one(stage: Stage) -> None:
    killed_at(stage, "set_image")
    done = stage.go("run-2", OTHER_DIGEST)
    assert done.outcome is S
    assert stage.cluster.deployments["api"].images["api"] == OTHER
    assert alone(stage)
    assert stage.cluster.calls.count("create_canary") == 2


def test_a_canary_left_by_a_crash_is_gone_on_with_by_the_next_run(stage: Stage) -> None:
    killed_at(stage, "set_image")
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 1


def test_a_canary_that_expired_begins_anew(stage: Stage) -> None:
    killed_at(stage, "set_image")
    stage.cluster.time.sleep(86_400)
    assert stage.go("run-2").outcome is S
    assert stage.cluster.calls.count("create_canary") == 2


def test_what_was_found_bad_is_tried_again_once_that_is_on_record(stage: Stage) -> None:
    stage.verdicts = [F]
    done = stage.go()
    assert LAST in stage.cluster.deployments["api"].annotations
    again = stage.go("run-2")
    assert (again.outcome, again.message) == (F, done.message)
    assert stage.cluster.calls.count("create_canary") == 1
    stage.record(done)
    assert stage.go("run-3").message == done.message, "killed before its hold was placed"
    stage.follow(done)
    assert stage.go("run-4").outcome is S


def swept(stage: Stage, later: timedelta) -> tuple[str, ...]:
    return sweep(PRODUCTION, CATALOG, stage.ports, stage.cluster.time.now() + later)


def test_an_expired_canary_that_nobody_holds_is_swept_away(stage: Stage) -> None:
    killed_at(stage, "set_image")
    assert swept(stage, timedelta(0)) == ()
    assert swept(stage, timedelta(days=1)) == (
        "the expired canary of api, left by run run-1 was taken away",
    )
    assert alone(stage)
    assert untouched(stage)


def test_a_canary_whose_run_lives_is_not_swept_away(stage: Stage) -> None:
    killed_at(stage, "set_image")
    stage.cluster.acquire("api", "run-1", preempt=False, ttl=1_000)
    assert swept(stage, timedelta(days=1)) == ()
    assert CANARY in stage.cluster.deployments


def test_a_canary_that_says_nothing_of_itself_is_swept_away(stage: Stage) -> None:
    stage.cluster.create_canary(API, NEW, pods=1, annotations={})
    assert swept(stage, timedelta(0)) == ("the expired canary of api was taken away",)


# Death


def test_there_are_enough_points_to_be_killed_at() -> None:
    points = kill_points()
    assert len(points) > 500
    assert {"create_canary", "scale", "weigh", "annotate", "set_image", "remove", "release"} <= {
        point.name for point in points
    }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_killed_at_any_step_the_next_run_reaches_the_same_end_without_a_second_effect(
    story: object,
) -> None:
    points = [point for point in kill_points() if point.story == story]
    wrong = {str(point): said for point in points if (said := survived(point))}
    assert wrong == {}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_killed_twice_it_still_reaches_the_same_end(data: st.DataObject) -> None:
    point = data.draw(st.sampled_from(kill_points()))
    assert survived(point, again=data.draw(st.integers(0, 40))) == ""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(Outcome), max_size=12), st.lists(st.sampled_from(CanaryCommand)))
def test_whatever_is_seen_and_ordered_it_ends_clean(
    verdicts: list[Outcome], commands: list[CanaryCommand]
) -> None:
    stage = Stage(verdicts=[*verdicts])
    left = [*commands]
    judge = stage._judge

    def ordered(
        own: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
    ) -> tuple[Judgement, ...]:
        assert untouched(stage)
        if left:
            stage.order(left.pop(0))
        return judge(own, beside, began)

    stage.judge = ordered
    done = stage.go()
    assert alone(stage)
    assert untouched(stage) == (done.outcome is not S)
    if done.outcome is F:
        assert F in verdicts
    if done.outcome is S:
        promoted = CanaryCommand.PROMOTE in commands
        assert promoted or F not in verdicts[: len(stage.asked_about)]


def test_a_point_before_the_first_effect_changes_nothing() -> None:
    first = next(point for point in kill_points() if point.name == "create_canary")
    assert isinstance(first, KillPoint)
    stage = first.story.stage()
    stage.cluster.kill_at = first.call
    with pytest.raises(Killed):
        stage.go()
    assert untouched(stage)
    assert isinstance(stage.cluster, FakeCluster)
