"""Incidents: opened by a failed rollout, verification or person; carried out; killed anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.incidents.cases import after_deployment, after_verification
from flowmaster_delivery.flows.incidents.opening import Work, find
from flowmaster_delivery.flows.incidents.people import (
    Wish,
    by_person,
    decide_asked,
    escalate,
    open_ones,
    settle,
)
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close, resume, take_back
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.model.catalog import Catalog, Environment, RefKind, RefRule, Repository
from flowmaster_delivery.model.errors import Denied, NotFound, Refused, UnknownName, Unreachable
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import EVERY_SERVICE, Candidate
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, PodProblem
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification
from flowmaster_delivery.ports import Ports, Record
from tests.builders import a_service
from tests.fakes.fake_cluster import FakeCluster, Killed
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
API = a_service("api", owners=("platform",))
AUTH = a_service("auth")
WEB = a_service("web", depends_on=("api", "auth"))
PRODUCTION = Environment("production", "test", RefRule(RefKind.VERSION))
ASKING = RollbackRule(triggers=(TriggerRule(Trigger.ROLLOUT, Action.ASK),))


class LinkedHistory(FakeHistory):
    """Its writes are steps of the process that the cluster's kills count, too."""

    cluster: FakeCluster

    def record(self, record: Record, shown: str = "") -> None:
        write: Callable[[], None] = lambda: super(LinkedHistory, self).record(record, shown)  # noqa: E731
        self.cluster.call("record", write)


@dataclass
class World:
    environment: Environment = PRODUCTION
    cluster: FakeCluster = field(default_factory=FakeCluster)
    forge: FakeForge = field(default_factory=FakeForge)
    history: LinkedHistory = field(default_factory=LinkedHistory)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    services: tuple = (API, AUTH, WEB)  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        self.history.cluster = self.cluster
        for service in self.services:
            self.cluster.deploy(service, self.catalog.reference(service, A))
            self.ship(service.name, A, "v1.0.0")
        self.cluster.time.sleep(3600)

    @property
    def catalog(self) -> Catalog:
        return Catalog(
            "test",
            "",
            "http://registry:5000",
            {"platform": Repository("platform", "group/platform")},
            {self.environment.name: self.environment},
            {service.name: service for service in self.services},
            notify_channel="#releases",
        )

    @property
    def ports(self) -> Ports:
        return Ports(
            self.forge, FakeRegistry(), lambda _: self.cluster, FakeProbe(), self.history,
            self.notifier, FakeMetrics(),
        )  # fmt: skip

    def work(self, run: str = "run-1", by: str = "flowmaster", reason: str = "") -> Work:
        time = self.cluster.time
        pace = Pace(time.now, monotonic=time.monotonic, sleep=time.sleep)
        return Work(
            self.catalog, self.ports, Asked(run, by, reason), pace, aside=lambda call: call()
        )

    def rule(self, rule: RollbackRule) -> None:
        self.environment = replace(self.environment, safeguards=Safeguards(rollback=rule))

    def ship(
        self, name: str, digest: str, version: str, run: str = "run-0", **changes: object
    ) -> DeploymentRecord:
        """Roll out and put on record; seen healthy where it came to run."""
        candidate = Candidate(
            name, self.environment.name, "platform", "c" * 40, digest, f"fp-{digest[7]}", version,
            version,
        )  # fmt: skip
        time = self.cluster.time
        record = roll_out(
            candidate, self.catalog, self.ports, run_id=run, asked_by="sam", reason="",
            pace=Pace(time.now),
        )  # fmt: skip
        record = replace(record, **changes)  # type: ignore[arg-type]
        self.history.record(record)
        if record.outcome is Outcome.SUCCESS:
            self.history.record(
                HealthObservation(
                    name, self.environment.name, HealthState.HEALTHY, digest, None, time.now()
                )
            )
        time.sleep(60)
        return record

    def bad(self, name: str, digest: str) -> None:
        reference = self.catalog.reference(self.catalog.services[name], digest)
        self.cluster.problems[reference] = PodProblem("x", name, "InvalidImageName", "no such name")

    def failed(self, name: str = "api", run: str = "run-0") -> DeploymentRecord:
        self.bad(name, B)
        return self.ship(name, B, "v1.1.0", run)

    def runs(self, name: str = "api") -> str:
        return self.cluster.deployments[name].images[name].rpartition("@")[2]

    @property
    def incident(self) -> Incident:
        (found,) = self.history.incidents(self.environment.name)
        return found

    def told(self) -> list[str]:
        return [event.kind for event in self.notifier.told]


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


def by(world: World, wish: Wish, run: str = "run-back", who: str = "sofia") -> Incident:
    work = world.work(run, who, "it is slow")
    incident = by_person(API, world.environment, wish, work)
    done = carried_out(incident, work)
    world.history.record(done)
    return close(incident, done, work)


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

WHOLE = RollbackRule(whole_release=True)


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
