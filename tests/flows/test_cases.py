"""Cases that runs bring: a rollout that failed, a canary that was taken away, a verification."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.incidents.cases import after_deployment, after_verification
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import RollbackRule, Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification
from tests.flows.rollback_world import (
    ASKING,
    PRODUCTION,
    A,
    B,
    C,
    World,
)

WHOLE = RollbackRule(whole_release=True)


@pytest.fixture
def world() -> World:
    return World()


def test_a_rollout_that_failed_halfway_goes_back_and_leaves_a_hold(world: World) -> None:
    (incident,) = after_deployment(world.failed(), world.work())
    assert incident.state is IncidentState.ROLLED_BACK
    assert (incident.from_digest, incident.to_digest) == (B, A)
    assert (incident.from_version, incident.to_version) == ("v1.1.0", "v1.0.0")
    assert world.runs() == A
    back = world.history.deployments("api", "production")[0]
    assert (back.method, back.digest, back.previous_digest) == (Method.ROLLBACK, A, B)
    assert back.asked_by == "flowmaster"
    (hold,) = world.history.holds()
    assert (hold.id, hold.service, hold.fingerprint) == (incident.id, "api", "")
    assert "no such name" in hold.reason
    assert world.told() == ["incident_opened", "rolled_back"]


def test_the_intent_is_on_record_before_anything_else(world: World) -> None:
    record, before = world.failed(), len(world.history.records)
    after_deployment(record, world.work())
    first, second, *_ = world.history.records[before:]
    assert isinstance(first, Incident)
    assert first.state is IncidentState.ROLLING_BACK
    assert type(second).__name__ == "Hold"


def test_who_is_told_stands_in_the_event_and_in_the_report(world: World) -> None:
    after_deployment(world.failed(), world.work())
    opened = world.notifier.told[0]
    assert "for #releases, platform" in opened.text
    assert opened.severity is Severity.CRITICAL
    assert f"flowmaster incident show {world.incident.id}" in opened.text
    assert "- #releases" in world.history.shown[-1].replace("\\#", "#")


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.INCONCLUSIVE])
def test_what_is_no_failure_leads_to_nothing(world: World, outcome: Outcome) -> None:
    record = world.ship("api", B, "v1.1.0", outcome=outcome)
    assert after_deployment(record, world.work()) == ()
    assert world.history.incidents("production") == ()


def test_a_rollback_that_failed_is_not_followed_by_another(world: World) -> None:
    record = replace(world.failed(), method=Method.ROLLBACK)
    assert after_deployment(record, world.work()) == ()


def test_a_canary_that_failed_is_told_and_holds_the_service_it_never_touched(
    world: World,
) -> None:
    before = world.cluster.calls.count("set_image")
    shipped = world.ship("api", A, "v1.0.0", outcome=Outcome.FAILURE, changed=False)
    record = replace(shipped, digest=B)
    (incident,) = after_deployment(record, world.work())
    assert (incident.trigger, incident.state) == (Trigger.CANARY, IncidentState.ROLLED_BACK)
    assert world.cluster.calls.count("set_image") == before
    (hold,) = world.history.holds()
    assert (hold.service, hold.reason) == ("api", incident.reason)
    again, *_ = after_deployment(record, world.work())
    assert again.id == incident.id
    assert len(world.history.holds()) == 1


def test_where_policy_asks_nothing_is_done_before_a_person_decides(world: World) -> None:
    world.rule(ASKING)
    (incident,) = after_deployment(world.failed(), world.work())
    assert (incident.state, incident.to_digest) == (IncidentState.ASKED, A)
    assert world.runs() == B
    assert world.history.holds() == ()
    (asked,) = world.notifier.told
    assert asked.kind == "rollback_asked"
    assert f"flowmaster incident approve {incident.id}" in asked.text


def test_a_verification_that_failed_goes_back_with_its_evidence(world: World) -> None:
    record = world.ship("api", B, "v1.1.0")
    smoke = CheckResult(
        Validation.SMOKE, Outcome.FAILURE, "login answered 500", {"step": "POST /login"}
    )
    verification = Verification(
        "api", "production", B, Outcome.FAILURE, record.finished_at, "run-0", (smoke,)
    )
    world.history.record(verification)
    incident = after_verification(verification, world.work())
    assert incident is not None
    assert (incident.trigger, incident.state) == (
        Trigger.VERIFICATION,
        IncidentState.ROLLED_BACK,
    )
    assert incident.evidence == {"smoke: step": "POST /login"}
    assert world.runs() == A


def test_where_only_health_failed_it_is_a_matter_of_health(world: World) -> None:
    record = world.ship("api", B, "v1.1.0")
    health = CheckResult(Validation.HEALTH, Outcome.FAILURE, "answered 503")
    suite = CheckResult(Validation.CONTRACT, Outcome.ERROR, "GitLab is away")
    verification = Verification(
        "api", "production", B, Outcome.FAILURE, record.finished_at, "run-0", (health, suite)
    )
    incident = after_verification(verification, world.work())
    assert incident is not None
    assert incident.trigger is Trigger.HEALTH


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.ERROR, Outcome.INCONCLUSIVE])
def test_a_verification_that_did_not_fail_leads_to_nothing(world: World, outcome: Outcome) -> None:
    world.ship("api", B, "v1.1.0")
    now = world.cluster.time.now()
    found = Verification("api", "production", B, outcome, now, "run-0")
    assert after_verification(found, world.work()) is None


# A rollback that fails


def test_a_failed_wave_takes_back_what_the_same_run_brought_before_it(world: World) -> None:
    world.rule(WHOLE)
    for name in ("api", "auth"):
        world.ship(name, B, "v1.1.0", "run-7")
    order = world.history.records
    found = after_deployment(world.failed("web", "run-7"), world.work())
    assert [one.services[0] for one in found] == ["web", "api", "auth"]
    assert {world.runs(name) for name in ("api", "auth", "web")} == {A}
    backs = [
        r.service for r in order if isinstance(r, DeploymentRecord) and r.method is Method.ROLLBACK
    ]
    assert backs == ["web", "api", "auth"]
    assert all(one.state is IncidentState.ROLLED_BACK for one in found)


def test_what_another_run_brought_stays(world: World) -> None:
    world.rule(WHOLE)
    world.ship("api", B, "v1.1.0", "run-6")
    after_deployment(world.failed("web", "run-7"), world.work())
    assert world.runs("api") == B


def test_without_that_policy_finished_services_stay(world: World) -> None:
    world.ship("api", B, "v1.1.0", "run-7")
    after_deployment(world.failed("web", "run-7"), world.work())
    assert world.runs("api") == B


def test_what_comes_to_its_end_after_its_release_went_back_goes_back_too(world: World) -> None:
    world.rule(WHOLE)
    after_deployment(world.failed("web", "run-7"), world.work("run-7"))
    late = world.ship("auth", B, "v1.1.0", "run-7")
    (incident,) = after_deployment(late, world.work("run-7"))
    assert (incident.state, world.runs("auth")) == (IncidentState.ROLLED_BACK, A)


def test_dev_holds_the_bad_source_only() -> None:
    world = World(replace(PRODUCTION, automatic=True))
    after_deployment(world.failed(), world.work())
    (hold,) = world.history.holds()
    assert hold.fingerprint == "fp-b"
    assert world.notifier.told[0].severity is Severity.WARNING


def test_a_second_failure_within_the_hour_asks(world: World) -> None:
    after_deployment(world.failed(), world.work())
    world.cluster.time.sleep(600)
    world.bad("api", C)
    (incident,) = after_deployment(world.ship("api", C, "v1.2.0", "run-8"), world.work())
    assert incident.state is IncidentState.ASKED
    assert timedelta(0) < (incident.deadline or incident.opened_at) - incident.opened_at
