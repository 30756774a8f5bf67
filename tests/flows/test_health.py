"""Looking at one service and at all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.health import look_all, look_at
from flowmaster_delivery.model.catalog import (
    Catalog,
    Environment,
    Kind,
    RefKind,
    RefRule,
    Service,
)
from flowmaster_delivery.model.errors import Denied, Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState, ProbeResult
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry

A = f"sha256:{'a' * 64}"
RULE = HealthRule(timeout=timedelta(seconds=2))
DEV = Environment("dev", "test", RefRule(RefKind.BRANCH, "develop"), health=RULE)
PUBLIC = Environment(
    "dev", "test", RefRule(RefKind.BRANCH, "develop"), base_url="http://base.test/", health=RULE
)
API = Service("api", Kind.DEPLOYMENT, "platform", "api", "group/api")
WEB = Service("web", Kind.DEPLOYMENT, "platform", "web", "group/web", health_path="/healthz")
MIGRATE = Service("migrate", Kind.JOB, "platform", "db", "group/db")
CATALOG = Catalog("test", "", "", {}, {"dev": DEV}, {"api": API, "web": WEB, "migrate": MIGRATE})


@dataclass
class World:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    history: FakeHistory = field(default_factory=FakeHistory)
    probe: FakeProbe = field(default_factory=FakeProbe)

    @property
    def ports(self) -> Ports:
        return Ports(
            FakeForge(),
            FakeRegistry(),
            lambda _: self.cluster,
            self.probe,
            self.history,
            FakeNotifier(),
            FakeMetrics(),
            FakeAudit(),
        )

    def at(self, service: Service = API, environment: Environment = DEV) -> HealthObservation:
        return look_at(service, environment, CATALOG, self.ports, now=self.cluster.time.now)

    def all(
        self, previous: dict[str, HealthObservation] | None = None
    ) -> dict[str, HealthObservation]:
        now = self.cluster.time.now
        found = look_all(DEV, CATALOG, self.ports, previous=previous or {}, now=now)
        return {look.service: look for look in found.observations}

    def done(self, service: Service, outcome: Outcome = Outcome.SUCCESS) -> None:
        now = self.cluster.time.now()
        self.history.record(
            DeploymentRecord(
                service=service.name,
                environment="dev",
                method=Method.ROLLOUT,
                outcome=outcome,
                digest=A,
                previous_digest=None,
                fingerprint="fp-a",
                commit="c",
                started_at=now,
                finished_at=now,
                asked_by="jane",
                message="as it went",
            )
        )


@pytest.fixture
def world() -> World:
    made = World()
    for service in (API, WEB):
        made.cluster.deploy(service, f"registry/group/{service.name}@{A}")
    return made


def test_a_service_that_answers_is_healthy_with_its_evidence(world: World) -> None:
    world.done(API)
    seen = world.at()
    assert (seen.state, seen.reason) == (HealthState.HEALTHY, "")
    assert (seen.digest, seen.fingerprint) == (A, "fp-a")
    assert seen.evidence == {
        "replicas": "1 of 1 available",
        "pod api-new": "200 in 0.010 s",
    }


def test_a_service_that_does_not_answer_well_is_degraded(world: World) -> None:
    world.cluster.answers["api"] = ProbeResult("u", 503, 0.1)
    first = world.at()
    assert (first.state, first.reason) == (HealthState.DEGRADED, "pod api-new answered 503")
    world.history.record(first)
    assert [first.failures_in_a_row, world.at().failures_in_a_row] == [1, 2]


def test_a_service_that_is_not_there_is_missing(world: World) -> None:
    del world.cluster.deployments["api"]
    assert world.at().state is HealthState.MISSING
    found = world.all()
    assert (found["api"].state, found["web"].state) == (HealthState.MISSING, HealthState.HEALTHY)


def test_a_cluster_that_cannot_be_read_is_an_error_and_no_failure(world: World) -> None:
    bad = HealthObservation(
        "api", "dev", HealthState.DEGRADED, A, "fp", world.cluster.time.now(), failures_in_a_row=2
    )
    world.history.record(bad)
    world.cluster.failing["workload"] = [Unreachable("gone")]
    seen = world.at()
    assert (seen.state, seen.digest, seen.failures_in_a_row) == (HealthState.UNKNOWN, A, 2)
    assert "gone" in seen.reason


def test_all_are_unknown_when_the_cluster_cannot_be_read_but_what_needs_none(world: World) -> None:
    world.done(MIGRATE)
    world.cluster.failing["workloads"] = [Unreachable("gone")]
    found = world.all()
    assert {name: look.state for name, look in found.items()} == {
        "api": HealthState.UNKNOWN,
        "web": HealthState.UNKNOWN,
        "migrate": HealthState.HEALTHY,
    }


def test_pods_that_may_not_be_asked_are_asked_at_the_public_address(world: World) -> None:
    world.cluster.answers["web"] = Denied("403 pods/proxy")
    url = "http://base.test/web/healthz"
    world.probe.answers[url] = ProbeResult(url, 502, 0.1)
    seen = world.at(WEB, PUBLIC)
    assert (seen.state, seen.reason) == (HealthState.DEGRADED, f"{url} answered 502")


def test_pods_that_may_not_be_asked_without_an_address_are_unknown(world: World) -> None:
    world.cluster.answers["web"] = Denied("403 pods/proxy")
    seen = world.at(WEB)
    assert (seen.state, seen.digest) == (HealthState.UNKNOWN, A)
    assert "403 pods/proxy" in seen.reason


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.SUCCESS, HealthState.HEALTHY),
        (Outcome.FAILURE, HealthState.DEGRADED),
        (Outcome.ERROR, HealthState.UNKNOWN),
        (Outcome.INCONCLUSIVE, HealthState.UNKNOWN),
    ],
)
def test_what_has_no_endpoint_is_as_well_as_what_was_done_last(
    world: World, outcome: Outcome, state: HealthState
) -> None:
    world.done(MIGRATE, outcome)
    assert world.at(MIGRATE).state is state
    assert world.all()["migrate"].state is state


def test_what_was_never_done_is_missing(world: World) -> None:
    assert world.at(MIGRATE).state is HealthState.MISSING


def test_all_services_cost_two_reads_of_the_cluster(world: World) -> None:
    world.all()
    assert world.cluster.calls == ["workloads", "all_pods"]


def test_failures_go_on_from_the_look_before(world: World) -> None:
    world.cluster.answers["api"] = ProbeResult("u", None, 2.0, "connection refused")
    first = world.all()
    second = world.all(first)
    assert (second["api"].failures_in_a_row, second["web"].failures_in_a_row) == (2, 0)


def test_a_foreign_image_has_no_fingerprint(world: World) -> None:
    assert world.at().fingerprint is None
