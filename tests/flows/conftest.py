"""A small platform in memory: one repository, three services, three environments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import (
    ApprovalRule,
    Catalog,
    Environment,
    GateName,
    Kind,
    RefKind,
    RefRule,
    Repository,
    Service,
    SoakRule,
)
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.image import ImageRecord, Origin
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ENTRY = (GateName.CI_PASSED, GateName.IMAGE, GateName.HOLD)


def a_service(name: str) -> Service:
    return Service(
        name=name,
        kind=Kind.DEPLOYMENT,
        repository="platform",
        path=f"services/{name}",
        image=f"group/platform/{name}",
        shared_paths=("shared/libraries",) if name != "web" else (),
    )


def an_environment(name: str, **changes: object) -> Environment:
    settings: dict[str, object] = {
        "name": name,
        "namespace": f"flowmaster-{name}",
        "ref": RefRule(RefKind.BRANCH, "develop" if name == "dev" else name),
        "automatic": True,
        "gates": ENTRY,
    }
    return Environment(**{**settings, **changes})  # type: ignore[arg-type]


def a_catalog() -> Catalog:
    environments = (
        an_environment("dev"),
        an_environment("staging", upstream="dev", gates=(*ENTRY, GateName.UPSTREAM_HEALTHY)),
        an_environment(
            "production",
            upstream="staging",
            ref=RefRule(RefKind.VERSION),
            automatic=False,
            gates=(*ENTRY, GateName.SOAK, GateName.APPROVALS, GateName.TAG_UNMOVED),
            soak=SoakRule(timedelta(hours=24), timedelta(hours=48)),
            approvals=ApprovalRule(2, "group/seniors"),
        ),
    )
    return Catalog(
        name="test",
        forge_url="http://forge",
        registry_url="http://registry",
        repositories={"platform": Repository("platform", "group/platform")},
        environments={e.name: e for e in environments},
        services={name: a_service(name) for name in ("api", "auth", "web")},
    )


@dataclass
class Platform:
    """The fakes with the catalog, and short words for what tests do with them."""

    catalog: Catalog = field(default_factory=a_catalog)
    forge: FakeForge = field(default_factory=FakeForge)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    history: FakeHistory = field(default_factory=FakeHistory)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)

    @property
    def repository(self) -> Repository:
        return self.catalog.repositories["platform"]

    @property
    def ports(self) -> Ports:
        return Ports(
            self.forge,
            self.registry,
            self._no_cluster,
            FakeProbe(),
            self.history,
            self.notifier,
            self.metrics,
            FakeAudit(),
        )

    def _no_cluster(self, environment: Environment) -> object:
        raise AssertionError(f"nothing here may touch the cluster of {environment.name}")

    def reading(self) -> Reading:
        return Reading(self.catalog, self.ports)

    def build(self, commit: str, *services: str) -> None:
        """CI pushes images of the services for a commit."""
        for name in services:
            self.registry.push(self.catalog.services[name].image, commit)

    def start(self) -> str:
        """The first commit on every branch, built, and running everywhere."""
        files = {f"services/{name}": f"{name}-1" for name in ("api", "auth", "web")}
        commit = self.forge.push("platform", "develop", "c1", {**files, "shared/libraries": "s1"})
        for branch in ("staging", "main"):
            self.forge.branches["platform"][branch] = commit
        self.build(commit, "api", "auth", "web")
        for environment in self.catalog.environments:
            for service in self.catalog.services:
                self.bring(service, environment, commit)
        return commit

    def bring(self, service: str, environment: str, commit: str) -> None:
        """Record that what CI built at the commit was brought to the environment and is healthy."""
        known = self.catalog.services[service]
        image = self.registry.digest_of(known.image, commit[:8])
        assert image is not None
        fingerprint = self.reading().fingerprints(self.repository, commit)[service]
        branch = self.catalog.environments[environment].ref.branch or "main"
        self.history.record(
            ImageRecord(
                service, environment, image.digest, fingerprint, commit, commit, branch,
                origin=Origin.BUILT, at=NOW - timedelta(days=3),
            )
        )  # fmt: skip
        self.history.record(
            DeploymentRecord(
                service, environment, Method.ROLLOUT, Outcome.SUCCESS, image.digest, None,
                fingerprint, commit, NOW - timedelta(days=3), NOW - timedelta(days=3), "test",
            )
        )  # fmt: skip
        self.history.record(
            HealthObservation(
                service, environment, HealthState.HEALTHY, image.digest, fingerprint,
                NOW - timedelta(minutes=1),
            )
        )  # fmt: skip


@pytest.fixture
def platform() -> Platform:
    return Platform()
