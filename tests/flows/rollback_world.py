"""Three services in production, and what incidents about them need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.incidents.people import (
    Wish,
    by_person,
)
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, RefKind, RefRule, Repository
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.rollout import DeploymentRecord, PodProblem
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.ports import Ports, Record
from tests.builders import a_service
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_cluster import FakeCluster
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
            self.notifier, FakeMetrics(), FakeAudit(),
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


def by(world: World, wish: Wish, run: str = "run-back", who: str = "sofia") -> Incident:
    work = world.work(run, who, "it is slow")
    incident = by_person(API, world.environment, wish, work)
    done = carried_out(incident, work)
    world.history.record(done)
    return close(incident, done, work)
