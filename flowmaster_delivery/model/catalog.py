"""The catalog: services, repositories, environments and policy. The only place that names them.

Built by `adapters.yaml_catalog`, which reports every fault of a file at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum

from flowmaster_delivery.model.analysis import MetricsRule
from flowmaster_delivery.model.errors import Permanent, UnknownName
from flowmaster_delivery.model.health import HealthRule
from flowmaster_delivery.model.retention import RetentionRule
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.verification import SmokeTest, SuiteRule


class Kind(StrEnum):
    """What image, rollout and health mean for a service (design: kinds of service)."""

    DEPLOYMENT = "deployment"
    JOB = "job"
    MANIFESTS = "manifests"
    ARTIFACT = "artifact"


class Criticality(StrEnum):
    STANDARD = "standard"
    CRITICAL = "critical"


class GateName(StrEnum):
    """Every question that can stand between a candidate and an environment."""

    CI_PASSED = "ci_passed"
    IMAGE = "image"
    UPSTREAM_HEALTHY = "upstream_healthy"
    SOAK = "soak"
    APPROVALS = "approvals"
    FREEZE = "freeze"
    HOLD = "hold"
    TAG_UNMOVED = "tag_unmoved"
    ON_MAIN = "on_main"
    SIGNATURE = "signature"
    SCAN = "scan"
    MIGRATIONS = "migrations"


class RefKind(StrEnum):
    BRANCH = "branch"
    VERSION = "version"


@dataclass(frozen=True, slots=True)
class Repository:
    """A GitLab project. The jobs of `ci_stages` (up to the image push) make "CI passed"."""

    name: str
    project: str
    main: str = "main"
    ci_stages: tuple[str, ...] = ("lint", "test", "build", "package")


@dataclass(frozen=True, slots=True)
class Service:
    """One deployable. `path` and `shared_paths` are relative to the repository's root."""

    name: str
    kind: Kind
    repository: str
    path: str
    image: str
    """Path in the registry, without host and tag: `group/project/image`."""
    shared_paths: tuple[str, ...] = ()
    workload: str = ""
    """Name of the Deployment or Job; the service's own name where empty."""
    container: str = ""
    """Container whose image is set; the service's own name where empty."""
    port: int | None = None
    protocol: str | None = None
    health_path: str = "/health"
    depends_on: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    criticality: Criticality = Criticality.STANDARD
    placeholder: bool = False
    description: str = ""
    migrations: tuple[str, ...] = ()
    """Services of kind `job` whose schemas it works on."""
    smoke: tuple[SmokeTest, ...] = ()
    applies: tuple[str, ...] = ()
    """Of kind `manifests`: the resources that may be among them (`configmaps`), which makes the
    platform's rights. Others are denied by the cluster."""
    safeguards: Mapping[str, Safeguards] = field(default_factory=dict)
    """Environment to the safeguards of this service there, where they are not the environment's."""

    @property
    def workload_name(self) -> str:
        return self.workload or self.name

    @property
    def container_name(self) -> str:
        return self.container or self.name

    @property
    def canary(self) -> Service:
        """Its canary on the cluster: another Deployment, the same container."""
        return replace(self, workload=f"{self.workload_name}-canary", container=self.container_name)

    @property
    def paths(self) -> tuple[str, ...]:
        """All that the image is built from; its tree ids are the fingerprint."""
        return (self.path, *self.shared_paths)


@dataclass(frozen=True, slots=True)
class RefRule:
    """Which ref feeds an environment: a branch by name, or every tag of the form `vX.Y.Z`."""

    kind: RefKind
    branch: str | None = None

    def __str__(self) -> str:
        return f"branch {self.branch}" if self.kind is RefKind.BRANCH else "tag vX.Y.Z"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """`count` different members of the GitLab group `group` (full path); 0 asks for nobody."""

    count: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class SoakRule:
    """How long a fingerprint must have been healthy upstream, by the service's criticality."""

    standard: timedelta = timedelta(0)
    critical: timedelta = timedelta(0)
    earned_for: timedelta = timedelta(days=14)
    """How long what was earned keeps counting after the upstream environment moved on."""

    def required(self, service: Service) -> timedelta:
        critical = service.criticality is Criticality.CRITICAL
        return self.critical if critical else self.standard


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """No promotion while it lasts: recurring (`start` is cron, `duration` its length) or by dates.

    `zone` is an IANA time zone; `until` is the last frozen day.
    """

    name: str
    zone: str = "UTC"
    start: str | None = None
    duration: timedelta | None = None
    first_day: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class HotfixRule:
    """A shorter soak for a merge request to main that says that it is a hotfix.

    It is one by its source branch (shell pattern) or its label, and only if its author is a member
    of `group` (full path).
    """

    soak: SoakRule
    group: str
    branch: str = "hotfix/*"
    label: str = "hotfix"


@dataclass(frozen=True, slots=True)
class OverrideRule:
    """Who may let a candidate past a closed gate: members of `group`, for the gates named."""

    group: str
    gates: tuple[GateName, ...]
    lasts: timedelta = timedelta(hours=4)
    """At most; then the gate is asked again."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where services run: one Dagster partition."""

    name: str
    namespace: str
    ref: RefRule
    upstream: str | None = None
    context: str | None = None
    """Context of the kubeconfig; its current one where None."""
    base_url: str | None = None
    automatic: bool = False
    operators: str | None = None
    """GitLab group that may promote, roll back and hold here; anybody verified where None."""
    rollout_timeout: timedelta = timedelta(seconds=300)
    gates: tuple[GateName, ...] = ()
    soak: SoakRule = field(default_factory=SoakRule)
    approvals: ApprovalRule = field(default_factory=ApprovalRule)
    freezes: tuple[FreezeWindow, ...] = ()
    health: HealthRule = field(default_factory=HealthRule)
    safeguards: Safeguards = field(default_factory=Safeguards)
    metrics: MetricsRule | None = None
    """Where figures come from; without it none is measured."""
    suites: SuiteRule | None = None
    hotfix: HotfixRule | None = None
    override: OverrideRule | None = None

    def measured_by(self) -> MetricsRule:
        """Raise Permanent, with what to set, where nothing is measured here."""
        if self.metrics is None:
            raise Permanent(
                f"there are no figures of {self.name}: name its Prometheus in the catalog, "
                f"`metrics: {{url: …}}` below the environment {self.name}"
            )
        return self.metrics

    def requires(self, gate: GateName) -> bool:
        return gate in self.gates

    def safeguards_of(self, service: Service) -> Safeguards:
        """The service's own here, else the environment's."""
        return service.safeguards.get(self.name, self.safeguards)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All of it. `environments` stand in the order of promotion, upstream first."""

    name: str
    forge_url: str
    registry_url: str
    repositories: Mapping[str, Repository]
    environments: Mapping[str, Environment]
    services: Mapping[str, Service]
    notify_channel: str | None = None
    retention: RetentionRule = field(default_factory=RetentionRule)
    source: str = "catalog"
    """Where it was read from, for messages."""

    def service(self, name: str) -> Service:
        """Raise UnknownName, with the nearest name, where there is no such service."""
        if name not in self.services:
            raise UnknownName("service", name, self.services)
        return self.services[name]

    def environment(self, name: str) -> Environment:
        """Raise UnknownName, with the nearest name, where there is no such environment."""
        if name not in self.environments:
            raise UnknownName("environment", name, self.environments)
        return self.environments[name]

    def repository(self, name: str) -> Repository:
        """Raise UnknownName, with the nearest name, where there is no such repository."""
        if name not in self.repositories:
            raise UnknownName("repository", name, self.repositories)
        return self.repositories[name]

    def services_of(self, repository: str) -> tuple[Service, ...]:
        return tuple(s for s in self.services.values() if s.repository == repository)

    def upstream_of(self, environment: Environment) -> Environment | None:
        return self.environments[environment.upstream] if environment.upstream else None

    def fed_by_versions(self) -> tuple[Environment, ...]:
        return tuple(e for e in self.environments.values() if e.ref.kind is RefKind.VERSION)

    @property
    def registry_host(self) -> str:
        """What stands before the image path in a reference: host, and port where there is one."""
        return self.registry_url.split("://", 1)[-1].rstrip("/")

    def reference(self, service: Service, digest: str) -> str:
        """The full image reference that is deployed: always by digest."""
        return f"{self.registry_host}/{service.image}@{digest}"
