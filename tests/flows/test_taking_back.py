"""Incidents carried out, and carried on wherever they were killed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowmaster_delivery.flows.incidents.cases import after_deployment
from flowmaster_delivery.flows.incidents.people import (
    Wish,
)
from flowmaster_delivery.flows.incidents.taking_back import resume, take_back
from flowmaster_delivery.model.errors import Denied, Unreachable
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.promotion import EVERY_SERVICE
from flowmaster_delivery.model.rollout import Method
from tests.fakes.fake_cluster import Killed
from tests.flows.rollback_world import (
    A,
    B,
    C,
    World,
    by,
)


@pytest.fixture
def world() -> World:
    return World()


def broken_back(world: World) -> tuple[Incident, ...]:
    record = world.failed()
    world.bad("api", A)
    return after_deployment(record, world.work())


def test_a_rollback_that_fails_stops_automation_and_pages(world: World) -> None:
    (incident,) = broken_back(world)
    assert incident.state is IncidentState.FAILED
    whole = [hold for hold in world.history.holds() if hold.service == EVERY_SERVICE]
    assert [hold.id for hold in whole] == [incident.hold_id]
    assert "flowmaster hold release" in world.notifier.told[-1].text
    assert world.notifier.told[-1].kind == "rollback_failed"
    assert world.notifier.told[-1].severity is Severity.CRITICAL
    assert {A, B} <= {incident.from_digest, incident.to_digest}


def test_after_it_nothing_acts_by_itself_there(world: World) -> None:
    broken_back(world)
    before = world.cluster.calls.count("set_image")
    world.bad("web", B)
    record = world.ship("web", B, "v1.1.0", "run-9")
    (incident,) = after_deployment(record, world.work())
    assert incident.state is IncidentState.LEFT
    assert "is held as a whole" in incident.why
    assert world.cluster.calls.count("set_image") == before + 1


def test_a_deployment_that_is_gone_is_no_way_back(world: World) -> None:
    record = world.failed()
    del world.cluster.deployments["api"]
    (incident,) = after_deployment(record, world.work())
    assert incident.state is IncidentState.FAILED
    assert "there is no Deployment api" in incident.timeline[-2].words


# A cluster that gives no answer


def test_a_cluster_that_is_away_fails_nothing_and_is_carried_on_when_it_is_back(
    world: World,
) -> None:
    record = world.failed()
    world.cluster.failing["workload"] = [Unreachable("gone")] * 1_000
    (incident,) = after_deployment(record, world.work())
    assert incident.state is IncidentState.ROLLING_BACK
    assert world.told() == ["incident_opened", "rollback_delayed"]
    world.cluster.failing.clear()
    go_on(world)
    assert (world.incident.state, world.runs()) == (IncidentState.ROLLED_BACK, A)


def test_a_credential_that_expired_fails_no_rollback_and_is_told(world: World) -> None:
    record = world.failed()
    world.cluster.failing["acquire"] = [Denied("401: expired")] * 2
    (incident,) = after_deployment(record, world.work())
    assert incident.state is IncidentState.ROLLING_BACK
    assert world.told() == ["incident_opened", "rollback_delayed"]
    go_on(world)
    assert world.incident.state is IncidentState.ROLLING_BACK
    go_on(world)
    assert (world.incident.state, world.runs()) == (IncidentState.ROLLED_BACK, A)


def test_that_the_cluster_is_away_is_told_once(world: World) -> None:
    record = world.failed()
    world.cluster.failing["workload"] = [Unreachable("gone")] * 5_000
    after_deployment(record, world.work())
    for _ in range(3):
        go_on(world)
    assert world.told().count("rollback_delayed") == 1


# Killed at every step


def go_on(world: World, run: str = "watch-2") -> None:
    """The next process comes by when the lease of the killed one has expired."""
    world.cluster.time.sleep(60)
    found = world.history.incidents("production")
    resume(world.environment, found, world.work(run))


def steps_of_a_whole_rollback() -> int:
    world = World()
    record, before = world.failed(), len(world.cluster.calls)
    after_deployment(record, world.work())
    return len(world.cluster.calls) - before


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(steps_of_a_whole_rollback()))
def test_killed_at_any_step_it_ends_in_the_same_state_with_one_patch_in_all(
    world: World, step: int, *, after_effect: bool
) -> None:
    record = world.failed()
    patches = world.cluster.deployments["api"].generation
    world.cluster.kill_at = len(world.cluster.calls) + step
    world.cluster.kill_after_effect = after_effect
    with pytest.raises(Killed):
        after_deployment(record, world.work())
    world.cluster.revive()
    go_on(world)
    if not world.history.incidents("production"):  # killed before the intent: its run comes again
        after_deployment(record, world.work())
    assert world.incident.state is IncidentState.ROLLED_BACK, world.incident.timeline
    assert world.runs() == A
    assert world.cluster.deployments["api"].generation == patches + 1
    assert [hold.id for hold in world.history.holds()] == [world.incident.id]
    backs = [
        record
        for record in world.history.deployments("api", "production")
        if record.method is Method.ROLLBACK
    ]
    assert [(b.digest, b.previous_digest, b.changed) for b in backs] == [(A, B, True)]


def test_what_somebody_is_at_is_left_to_them(world: World) -> None:
    record = world.failed()
    world.cluster.kill_at = len(world.cluster.calls) + 4
    with pytest.raises(Killed):
        after_deployment(record, world.work())
    world.cluster.revive()
    world.cluster.time.sleep(60)
    world.cluster.acquire("api", "run-7", preempt=True, ttl=1_000)
    before = len(world.history.records)
    resume(world.environment, world.history.incidents("production"), world.work("watch-2"))
    assert len(world.history.records) == before


def test_what_was_opened_a_moment_ago_is_left_to_whoever_opened_it(world: World) -> None:
    record = world.failed()
    world.cluster.kill_at = len(world.cluster.calls) + 4
    with pytest.raises(Killed):
        after_deployment(record, world.work())
    world.cluster.revive()
    before = len(world.history.records)
    resume(world.environment, world.history.incidents("production"), world.work("watch-2"))
    assert len(world.history.records) == before


def test_a_newer_version_that_a_person_brought_meanwhile_stands(world: World) -> None:
    record = world.failed()
    world.cluster.kill_at = len(world.cluster.calls) + 2
    with pytest.raises(Killed):
        after_deployment(record, world.work())
    world.cluster.revive()
    world.cluster.time.sleep(60)
    world.ship("api", C, "v1.2.0", "run-5")
    go_on(world)
    assert (world.incident.state, world.runs()) == (IncidentState.LEFT, C)
    assert "sam brought v1.2.0" in world.incident.timeline[-1].words


def test_a_hold_that_a_person_released_is_not_placed_again(world: World) -> None:
    (incident,) = after_deployment(world.failed(), world.work())
    (hold,) = world.history.holds()
    world.history.record(replace(hold, released_by="sam", released_at=world.cluster.time.now()))
    take_back(replace(incident, state=IncidentState.ROLLING_BACK), world.work())
    assert [one.active for one in world.history.holds()] == [False]


# People


def test_commits_of_what_was_rolled_back_are_in_the_report_where_gitlab_answers(
    world: World,
) -> None:
    old = world.forge.push("platform", "main", "c1", {"services/api": "1"})
    new = world.forge.push("platform", "main", "c2", {"services/api": "2"})
    world.ship("api", C, "v1.1.0", commit=old)
    world.ship("api", B, "v1.2.0", commit=new)
    incident = by(world, Wish())
    assert [commit.id for commit in incident.commits] == [new]


def test_gitlab_hears_of_a_rollback_that_no_run_of_a_person_made(world: World) -> None:
    after_deployment(world.failed(), world.work())
    (made,) = world.forge.deployments
    assert (made.environment, made.commit, made.status) == ("production", "c" * 40, "success")


def test_a_gitlab_that_is_away_keeps_no_rollback_from_its_end(world: World) -> None:
    world.forge.broken["platform"] = Unreachable("gone")
    world.ship("api", C, "v1.1.0", commit="d" * 40)
    world.ship("api", B, "v1.2.0", commit="e" * 40)
    incident = by(world, Wish())
    assert (incident.state, incident.commits) == (IncidentState.ROLLED_BACK, ())


# Whole releases
