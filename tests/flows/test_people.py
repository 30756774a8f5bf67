"""What people decide about incidents, and the rollbacks that they ask for."""

from __future__ import annotations

import pytest

from flowmaster_delivery.flows.incidents.cases import after_deployment
from flowmaster_delivery.flows.incidents.opening import find
from flowmaster_delivery.flows.incidents.people import (
    Wish,
    decide_asked,
    escalate,
    open_ones,
    settle,
)
from flowmaster_delivery.model.errors import NotFound, Refused, UnknownName, Unreachable
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.rollback import Trigger
from tests.fakes.fake_cluster import Killed
from tests.flows.rollback_world import (
    ASKING,
    A,
    B,
    C,
    World,
    by,
)


@pytest.fixture
def world() -> World:
    return World()


def asked(world: World) -> Incident:
    world.rule(ASKING)
    (incident,) = after_deployment(world.failed(), world.work())
    return incident


def decide(
    world: World, wanted: str, *, approve: bool, by: str = "sofia", reason: str = ""
) -> None:
    decide_asked(
        wanted, approve=approve, by=by, reason=reason, catalog=world.catalog,
        history=world.history, now=world.cluster.time.now(),
    )  # fmt: skip


def test_what_a_person_approved_is_carried_out_by_a_run(world: World) -> None:
    incident = asked(world)
    decide(world, incident.id, approve=True)
    by(world, Wish(incident=incident.id))
    assert (world.incident.state, world.incident.decided_by) == (
        IncidentState.ROLLED_BACK,
        "sofia",
    )
    assert world.runs() == A


def test_approving_twice_is_one_decision(world: World) -> None:
    incident = asked(world)
    decide(world, incident.id, approve=True)
    before = len(world.history.records)
    decide(world, incident.id, approve=True, by="sam")
    assert len(world.history.records) == before


def test_what_a_person_lives_with_is_left_and_not_asked_again(world: World) -> None:
    incident = asked(world)
    decide(world, incident.id, approve=False, reason="known, and mended tomorrow")
    assert world.incident.state is IncidentState.LEFT
    record = world.history.deployments("api", "production")[0]
    assert after_deployment(record, world.work()) == ()
    assert world.runs() == B


def test_living_with_it_needs_a_reason(world: World) -> None:
    with pytest.raises(Refused, match="needs a reason"):
        decide(world, asked(world).id, approve=False)


def test_nobody_is_asked_about_what_is_over(world: World) -> None:
    (incident,) = after_deployment(world.failed(), world.work())
    with pytest.raises(Refused, match="nobody is asked"):
        decide(world, incident.id, approve=True)


def test_an_unknown_incident_is_answered_with_the_open_ones(world: World) -> None:
    incident = asked(world)
    with pytest.raises(UnknownName, match=incident.id):
        find(incident.id[:-1] + "x", world.catalog, world.history)


def test_at_its_deadline_it_is_told_louder_once_and_nothing_is_done(world: World) -> None:
    asked(world)
    for _ in range(3):
        world.cluster.time.sleep(1_200)
        escalate(open_ones(world.catalog, world.history), world.work())
    assert world.told() == ["rollback_asked", "rollback_escalated"]
    assert world.notifier.told[-1].severity is Severity.CRITICAL
    assert (world.incident.state, world.runs()) == (IncidentState.ASKED, B)


def test_before_its_deadline_nobody_is_told_again(world: World) -> None:
    asked(world)
    world.cluster.time.sleep(60)
    escalate(open_ones(world.catalog, world.history), world.work())
    assert world.told() == ["rollback_asked"]


def test_what_was_approved_is_not_escalated(world: World) -> None:
    decide(world, asked(world).id, approve=True)
    world.cluster.time.sleep(3_600)
    escalate(open_ones(world.catalog, world.history), world.work())
    assert "rollback_escalated" not in world.told()


def test_nobody_is_asked_any_more_about_an_image_that_is_gone(world: World) -> None:
    asked(world)
    settle(open_ones(world.catalog, world.history), {"api": B}, world.work())
    assert world.incident.state is IncidentState.ASKED
    settle(open_ones(world.catalog, world.history), {"api": C}, world.work())
    assert world.incident.state is IncidentState.LEFT


def test_a_rollback_of_a_person_is_an_incident_with_a_report(world: World) -> None:
    world.ship("api", B, "v1.1.0")
    incident = by(world, Wish())
    assert (incident.trigger, incident.state) == (Trigger.PERSON, IncidentState.ROLLED_BACK)
    assert (incident.reason, incident.decided_by) == ("it is slow", "sofia")
    assert "# Incident" in world.history.shown[-1]


def test_a_persons_rollback_takes_over_what_is_on_its_way(world: World) -> None:
    record = world.failed()
    world.cluster.kill_at = len(world.cluster.calls) + 2
    with pytest.raises(Killed):
        after_deployment(record, world.work())
    world.cluster.revive()
    incident = by(world, Wish())
    assert (incident.trigger, incident.state) == (Trigger.ROLLOUT, IncidentState.ROLLED_BACK)
    assert world.incident == incident


def test_a_run_that_is_tried_again_goes_to_the_same_image(world: World) -> None:
    """The record of the first try, that got no answer, is not what runs."""
    for digest, version in ((B, "v1.1.0"), (C, "v1.2.0")):
        world.ship("api", digest, version)
    world.cluster.failing["set_image"] = [Unreachable("gone")] * 1_000
    first = by(world, Wish())
    assert first.state is IncidentState.ROLLING_BACK
    world.cluster.failing.clear()
    second = by(world, Wish())
    assert (second.id, second.state, world.runs()) == (first.id, IncidentState.ROLLED_BACK, B)


def test_a_person_hears_at_once_that_nothing_can_be_done(world: World) -> None:
    world.ship("api", B, "v1.1.0")
    del world.cluster.deployments["api"]
    with pytest.raises(NotFound):
        by(world, Wish())
    assert world.incident.state is IncidentState.LEFT
    assert "nothing was changed" in world.incident.timeline[-1].words


def test_a_refused_try_of_a_person_does_not_make_a_failed_rollback_undone(world: World) -> None:
    record = world.failed()
    world.history.record(record)
    del world.cluster.deployments["api"]
    (failed,) = after_deployment(record, world.work())
    with pytest.raises(NotFound):
        by(world, Wish())
    assert (world.incident.id, world.incident.state) == (failed.id, IncidentState.FAILED)
    assert "nothing was changed" in world.incident.timeline[-1].words
