"""API server, registry, GitLab, Prometheus and database away, in turn and all at once.

Blindness promotes nothing and rolls nothing back; what began goes on when they are there again.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from tests.fakes.away import FAR_ENDS, Outage
from tests.fakes.mortal import Process
from tests.flows import killing_promotion, killing_rollback
from tests.flows.killing_promotion import Run, Stage
from tests.flows.killing_rollback import STORIES, Story, runs, watch

IN_TURN = [*((name,) for name in FAR_ENDS), FAR_ENDS]
NEEDED_BY_NO_ROLLBACK = [("registry",), ("forge",), ("metrics",), ("registry", "forge", "metrics")]
NEEDED_BY_ROLLBACKS = [("cluster",), ("history",), FAR_ENDS]


def ids(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else getattr(value, "name", "")


def go(stage: Stage, name: str) -> None:
    """A run; what it raises ends it, as it ends a step."""
    with suppress(DeliveryError):
        Run(stage, name).go()


def act(story: Story, stage: Stage, name: str) -> None:
    with suppress(DeliveryError):
        story.act(stage, name, Process())


def untouched(stage: Stage) -> bool:
    """The service is as it was, nothing is held, and nobody was told of an incident."""
    history = stage.platform.history
    same = stage.cluster.deployments["api"].generation == 1
    return same and not history.holds() and not history.incidents("production")


# A release


@pytest.mark.parametrize("away", [a for a in IN_TURN if a != ("metrics",)], ids=ids)
def test_a_release_that_cannot_be_asked_about_touches_nothing_and_comes_when_it_can(
    away: tuple[str, ...],
) -> None:
    stage = Stage()
    stage.outage = Outage(away, stage.cluster.time)
    go(stage, "run-1")
    assert untouched(stage)
    assert stage.cluster.calls.count("create_canary") == 0
    stage.outage = None
    go(stage, "run-2")
    assert killing_promotion.wrong_in(stage) == ""


@pytest.mark.parametrize("away", IN_TURN, ids=ids)
def test_a_canary_waits_for_what_is_away_for_a_while(away: tuple[str, ...]) -> None:
    stage = Stage()
    stage.outage = Outage(away, stage.cluster.time, begins="cluster.create_canary", seconds=10)
    go(stage, "run-1")
    assert killing_promotion.wrong_in(stage) == ""


@pytest.mark.parametrize("away", [("cluster",), ("metrics",), FAR_ENDS], ids=ids)
def test_a_canary_that_nobody_can_see_is_neither_found_bad_nor_promoted(
    away: tuple[str, ...],
) -> None:
    stage = Stage(bad=True)
    stage.outage = Outage(away, stage.cluster.time, begins="cluster.create_canary")
    go(stage, "run-1")
    assert untouched(stage)


@pytest.mark.parametrize("away", [("registry",), ("forge",), ("history",)], ids=ids)
def test_a_bad_canary_goes_at_once_though_others_are_away(away: tuple[str, ...]) -> None:
    stage = Stage(bad=True)
    stage.outage = Outage(away, stage.cluster.time, begins="cluster.create_canary")
    go(stage, "run-1")
    assert sorted(stage.cluster.deployments) == ["api"]
    stage.outage = None
    go(stage, "run-2")
    assert killing_promotion.wrong_in(stage) == ""


@pytest.mark.parametrize("away", IN_TURN, ids=ids)
def test_a_good_canary_whose_far_ends_stayed_away_comes_when_they_are_back(
    away: tuple[str, ...],
) -> None:
    stage = Stage()
    stage.outage = Outage(away, stage.cluster.time, begins="cluster.create_canary")
    go(stage, "run-1")
    assert untouched(stage)
    outcomes = {
        record.outcome
        for record in stage.platform.history.records
        if isinstance(record, DeploymentRecord) and record.run_id == "run-1"
    }
    assert outcomes <= {Outcome.INCONCLUSIVE, Outcome.ERROR}
    stage.outage = None
    stage.cluster.time.sleep(60)
    go(stage, "run-2")
    assert runs(stage) == "new"
    assert stage.cluster.deployments["api"].generation == 2
    assert sorted(stage.cluster.deployments) == ["api"]


# A rollback


@pytest.mark.parametrize("away", NEEDED_BY_NO_ROLLBACK, ids=ids)
@pytest.mark.parametrize("story", STORIES, ids=ids)
def test_a_rollback_needs_neither_registry_nor_gitlab_nor_prometheus(
    story: Story, away: tuple[str, ...]
) -> None:
    stage = story.made()
    before = stage.cluster.deployments["api"].generation
    stage.outage = Outage(away, stage.cluster.time, begins=story.begins)
    act(story, stage, "run-1")
    assert killing_rollback.wrong_in(stage, before) == ""


@pytest.mark.parametrize("begins", ["", "cluster.acquire", "cluster.set_image", "history.record"])
@pytest.mark.parametrize("away", NEEDED_BY_ROLLBACKS, ids=ids)
@pytest.mark.parametrize("story", STORIES, ids=ids)
def test_a_rollback_whose_cluster_or_record_is_away_is_carried_on_when_it_is_back(
    story: Story, away: tuple[str, ...], begins: str
) -> None:
    stage = story.made()
    before = stage.cluster.deployments["api"].generation
    stage.outage = Outage(away, stage.cluster.time, begins=begins)
    act(story, stage, "run-1")
    failed = [
        record
        for record in stage.platform.history.records
        if isinstance(record, DeploymentRecord)
        and record.method is Method.ROLLBACK
        and record.outcome is Outcome.FAILURE
    ]
    assert failed == []
    stage.outage = None
    stage.cluster.time.sleep(60)
    act(story, stage, "run-2")
    stage.cluster.time.sleep(60)
    watch(stage, "watch-3", Process(), looks=8)
    assert killing_rollback.wrong_in(stage, before) == ""


# The watch


@pytest.mark.parametrize("away", NEEDED_BY_ROLLBACKS, ids=ids)
def test_a_watch_that_is_blind_does_nothing_and_acts_when_it_sees(away: tuple[str, ...]) -> None:
    stage = STORIES[-1].made()
    before = stage.cluster.deployments["api"].generation
    stage.outage = Outage(away, stage.cluster.time)
    watch(stage, "watch-1", Process(), looks=20)
    assert stage.cluster.deployments["api"].generation == before
    assert stage.platform.history.incidents("production") == ()
    assert stage.platform.history.holds() == ()
    stage.outage = None
    watch(stage, "watch-1", Process(), looks=4)
    assert killing_rollback.wrong_in(stage, before) == ""


@pytest.mark.parametrize("away", IN_TURN, ids=ids)
def test_a_healthy_service_is_left_alone_whatever_is_away(away: tuple[str, ...]) -> None:
    stage = STORIES[1].made()
    before = stage.cluster.deployments["api"].generation
    stage.outage = Outage(away, stage.cluster.time)
    watch(stage, "watch-1", Process(), looks=20)
    stage.outage = None
    watch(stage, "watch-1", Process(), looks=4)
    assert stage.cluster.deployments["api"].generation == before
    assert stage.platform.history.incidents("production") == ()
    assert stage.platform.history.holds() == ()
