"""Five services that run well in production, and a watch whose rollbacks wait to be carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.watch.watch import Watch
from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement, MetricsRule
from flowmaster_delivery.model.catalog import Catalog, Environment, RefKind, RefRule, Repository
from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState, ProbeResult
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.ports import Ports
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
NAMES = ("api", "auth", "web", "docs", "jobs")
PRODUCTION = Environment(
    "production",
    "test",
    RefRule(RefKind.VERSION),
    health=HealthRule(look_every=timedelta(seconds=20)),
    metrics=MetricsRule("http://metrics"),
)
LOOK = timedelta(seconds=20)


@dataclass
class World:
    """Five services on A that were brought from B hours ago, all well; a spawner that waits."""

    environment: Environment = PRODUCTION
    cluster: FakeCluster = field(default_factory=FakeCluster)
    history: FakeHistory = field(default_factory=FakeHistory)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    spawned: list[Callable[[], None]] = field(default_factory=list)
    services: tuple = tuple(a_service(name) for name in NAMES)  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        for service in self.services:
            self.cluster.deploy(service, self.catalog.reference(service, A))
            self.brought(service.name, B, "v1.0.0")
            self.seen(service.name, B)
        self.cluster.time.sleep(600)
        for service in self.services:
            self.brought(service.name, A, "v1.1.0")
        self.cluster.time.sleep(7_200)
        self.metrics.pods = lambda: [f"{name}-new" for name in NAMES]
        self.watch = self.a_watch()

    def a_watch(self, *names: str) -> Watch:
        time = self.cluster.time
        return Watch(
            self.catalog,
            time.now,
            spawn=self.spawned.append,
            aside=lambda call: call(),
            pace=Pace(time.now, monotonic=time.monotonic, sleep=time.sleep),
            environments=names or None,
        )

    @property
    def catalog(self) -> Catalog:
        return Catalog(
            "test",
            "",
            "http://registry:5000",
            {"platform": Repository("platform", "group/platform")},
            {"production": self.environment},
            {service.name: service for service in self.services},
        )

    @property
    def ports(self) -> Ports:
        return Ports(
            FakeForge(), FakeRegistry(), lambda _: self.cluster, FakeProbe(), self.history,
            self.notifier, self.metrics, FakeAudit(),
        )  # fmt: skip

    def brought(self, name: str, digest: str, version: str, **changes: object) -> DeploymentRecord:
        now = self.cluster.time.now()
        record = DeploymentRecord(
            name, "production", Method.ROLLOUT, Outcome.SUCCESS, digest, None, f"fp-{digest[7]}",
            "c" * 40, now, now, "sam", version=version, run_id=f"run-{digest[7]}",
        )  # fmt: skip
        record = replace(record, **changes)  # type: ignore[arg-type]
        self.history.record(record)
        return record

    def seen(self, name: str, digest: str) -> None:
        now = self.cluster.time.now()
        self.history.record(
            HealthObservation(name, "production", HealthState.HEALTHY, digest, None, now)
        )

    def verified(self, name: str, digest: str, p95: float, figure: Figure) -> None:
        now = self.cluster.time.now()
        measured = Measurement(figure, "q", timedelta(minutes=5), now, p95, 1_000)
        judged = Judgement(
            measured, Limit(figure, 1, timedelta(minutes=5)), Outcome.SUCCESS, "", 1.0
        )
        self.history.record(
            Verification(name, "production", digest, Outcome.SUCCESS, now, "run", figures=(judged,))
        )

    def breaks(self, *names: str, status: int = 503) -> None:
        for name in names:
            self.cluster.answers[name] = ProbeResult(f"pod://{name}", status, 0.01)

    def look(self, times: int = 1) -> list[str]:
        said: list[str] = []
        for _ in range(times):
            self.cluster.time.sleep(LOOK.total_seconds())
            _, words = self.watch.look(self.ports, self.cluster.time.now())
            said += words
        return said

    def act(self) -> None:
        """What was spawned runs to its end."""
        while self.spawned:
            self.spawned.pop(0)()

    def runs(self, name: str = "api") -> str:
        return self.cluster.deployments[name].images[name].rpartition("@")[2]

    @property
    def incidents(self) -> tuple[Incident, ...]:
        return self.history.incidents("production")

    def told(self) -> list[str]:
        return [event.kind for event in self.notifier.told]
