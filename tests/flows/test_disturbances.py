"""What happens to a release between its gate and its end: in the registry, on the cluster, to the
clock, and to those who are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.errors import Refused
from flowmaster_delivery.model.events import Event
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from tests.fakes.mortal import Process
from tests.flows.killing_promotion import Run, Stage
from tests.flows.killing_rollback import STORIES, runs


def records(stage: Stage) -> list[DeploymentRecord]:
    return list(stage.platform.history.deployments("api", "production"))


def cleared_away(stage: Stage) -> None:
    """Somebody's cleaning job deletes the new image."""
    del stage.platform.registry.images[stage.api.image, stage.digest(stage.new)]


# The registry


def test_an_image_that_is_gone_since_its_promotion_is_stopped_before_the_cluster_is_touched() -> (
    None
):
    stage = Stage()
    run = Run(stage, "run-1")
    run.image()
    run.promotion()
    cleared_away(stage)
    with pytest.raises(Refused, match=f"{GateName.IMAGE}: the registry does not have"):
        run.deployment()
    assert stage.cluster.calls == []


def test_an_image_that_goes_while_its_canary_runs_goes_no_further() -> None:
    stage = Stage()
    stage.cluster.on_call["create_canary"] = lambda: cleared_away(stage)
    Run(stage, "run-1").go()
    (record, _) = records(stage)
    assert record.outcome is Outcome.INCONCLUSIVE
    assert "the registry does not have" in record.message
    assert stage.cluster.deployments["api"].generation == 1
    assert sorted(stage.cluster.deployments) == ["api"]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_rollback_to_an_image_that_the_registry_has_lost_is_made_all_the_same(story) -> None:  # type: ignore[no-untyped-def]
    """The nodes may have it; whoever knows is the cluster."""
    stage = story.made()
    del stage.platform.registry.images[stage.api.image, stage.digest(stage.old)]
    story.act(stage, "run-1", Process())
    assert runs(stage) == "old"
    assert records(stage)[0].method is Method.ROLLBACK


# The cluster


def test_a_service_whose_pods_the_cluster_denies_goes_back() -> None:
    stage = Stage(canary=None)
    quota = "pods is forbidden: exceeded quota"
    stage.cluster.on_call["wait_for_change"] = lambda: stage.cluster.edit(
        "api", replica_failure=quota, observed_generation=2
    )
    stage.cluster.stuck = True

    def mended() -> None:
        stage.cluster.stuck = False
        stage.cluster.edit("api", replica_failure=None)

    run = Run(stage, "run-1")
    stage.cluster.on_call["set_image"] = lambda: stage.cluster.on_call.update(set_image=mended)
    run.go()
    back, failed, _ = records(stage)
    assert (failed.outcome, back.outcome) == (Outcome.FAILURE, Outcome.SUCCESS)
    assert quota in failed.message
    assert runs(stage) == "old"


def test_a_deployment_that_is_deleted_during_its_rollout_is_not_made_anew() -> None:
    stage = Stage(canary=None)
    stage.cluster.on_call["wait_for_change"] = stage.cluster.deployments.clear
    Run(stage, "run-1").go()
    (record, _) = records(stage)
    assert record.outcome is Outcome.INCONCLUSIVE
    assert "api was deleted meanwhile, and stays so" in record.message
    assert stage.cluster.deployments == {}
    assert stage.platform.history.incidents("production") == ()


def test_pods_that_a_node_loses_during_a_rollout_are_waited_for() -> None:
    stage = Stage(canary=None)
    lost = iter(range(2))

    def lose() -> None:
        if next(lost, None) is not None:
            stage.cluster.edit("api", available=0)
            stage.cluster.on_call["wait_for_change"] = lose

    stage.cluster.on_call["wait_for_change"] = lose
    Run(stage, "run-1").go()
    assert records(stage)[0].outcome is Outcome.SUCCESS
    assert runs(stage) == "new"


# The clock


@pytest.mark.parametrize("jump", [timedelta(days=2), timedelta(days=-2)], ids=["ahead", "back"])
@pytest.mark.parametrize("call", ["wait_for_change", "create_canary", "set_image"])
def test_a_clock_that_jumps_during_a_release_neither_hurries_nor_breaks_it(
    call: str, jump: timedelta
) -> None:
    stage = Stage()
    run, ahead = Run(stage, "run-1"), [timedelta(0)]
    steady = stage.cluster.time
    run.pace = Pace(lambda: steady.now() + ahead[0], monotonic=steady.monotonic, sleep=steady.sleep)
    began = steady.seconds
    stage.cluster.on_call[call] = lambda: ahead.__setitem__(0, jump)
    run.go()
    made = [r for r in records(stage) if r.run_id == "run-1"]
    assert Outcome.FAILURE not in {record.outcome for record in made}
    assert stage.platform.history.incidents("production") == ()
    assert stage.cluster.calls.count("create_canary") == 1
    if runs(stage) == "new":
        assert steady.seconds - began >= 8, "the pauses of its two steps"
    else:
        assert "soak" in made[0].message or "upstream" in made[0].message


# Those who are told


def test_a_notifier_that_hangs_keeps_no_rollback_from_its_end() -> None:
    """People are told aside; what is never told is in the incident all the same."""
    stage = STORIES[0].made()
    tell, told = stage.platform.notifier.tell, list[str]()

    def hang(event: Event) -> None:
        tell(event)
        told.append(event.kind)

    kept = list[object]()
    run = Run(stage, "run-1")
    run.work = Work(
        stage.platform.catalog,
        run.ports,
        Asked("run-1", "sam"),
        run.pace,
        aside=kept.append,
    )
    stage.platform.notifier.tell = hang  # type: ignore[method-assign]
    run.go()
    assert runs(stage) == "old"
    assert told == []
    (incident,) = stage.platform.history.incidents("production")
    assert incident.state is IncidentState.ROLLED_BACK
    assert len(kept) == 2
