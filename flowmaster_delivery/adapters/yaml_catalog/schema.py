"""The form of a catalog file. The JSON Schema that editors complete from is made of these types."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from pydantic import Field

from flowmaster_delivery.adapters.yaml_catalog.safeguards import SafeguardsEntry, SmokeEntry
from flowmaster_delivery.adapters.yaml_catalog.values import (
    Address,
    Duration,
    Entry,
    GroupPath,
    ImagePath,
    Label,
    MetricName,
    ProjectPath,
    RepositoryPath,
    ResourceName,
)
from flowmaster_delivery.model.catalog import Criticality, GateName, Kind


class RepositoryEntry(Entry):
    """A GitLab project."""

    project: ProjectPath = Field(description="Full path of the GitLab project: group/project.")
    main: str = Field(default="main", description="Branch that releases are tagged on.")
    ci_stages: tuple[str, ...] = Field(
        default=("lint", "test", "build", "package"),
        min_length=1,
        description="Stages, up to the image push, whose jobs make 'CI passed'.",
    )


class ServiceEntry(Entry):
    """One deployable."""

    kind: Kind = Field(default=Kind.DEPLOYMENT, description="What image, rollout and health mean.")
    repository: str = Field(description="Name of a repository of this catalog.")
    path: RepositoryPath = Field(description="Its own folder in the repository.")
    shared_paths: tuple[RepositoryPath, ...] = Field(
        default=(), description="Other files and folders that its image is built from."
    )
    image: ImagePath | None = Field(
        default=None,
        description="Registry path without host and tag; <project>/<service> if not given.",
    )
    workload: Label | None = Field(
        default=None, description="Deployment or Job; the service's name."
    )
    container: Label | None = Field(default=None, description="Container; the service's name.")
    port: int | None = Field(default=None, ge=1, le=65535)
    protocol: str | None = Field(
        default=None, max_length=40, description="As people call it: HTTP/REST."
    )
    health_path: str = Field(default="/health", pattern=r"^/[^\s?#]*$")
    depends_on: tuple[str, ...] = Field(default=(), description="Services that roll out earlier.")
    owners: tuple[str, ...] = Field(default=(), description="Teams.")
    criticality: Criticality = Criticality.STANDARD
    placeholder: bool = Field(
        default=False, description="A service whose real name is not known yet."
    )
    description: str = ""
    migrations: tuple[str, ...] = Field(
        default=(), description="Services of kind 'job' that migrate what it stores its data in."
    )
    smoke: tuple[SmokeEntry, ...] = Field(
        default=(), description="Ways through the service that must work after a rollout."
    )
    applies: tuple[ResourceName, ...] = Field(
        default=(),
        description="Of kind 'manifests': what may be among them, as `kubectl api-resources` names "
        "it: configmaps, prometheusrules.monitoring.coreos.com.",
    )
    safeguards: dict[str, SafeguardsEntry] = Field(
        default={},
        description="By environment: what differs from the safeguards of that environment.",
    )


class RefEntry(Entry):
    """What feeds an environment: one branch, or every version tag."""

    branch: str | None = Field(default=None, min_length=1)
    tag: Literal["vX.Y.Z"] | None = None


class SoakEntry(Entry):
    """How long a fingerprint must have been healthy upstream."""

    standard: Duration = timedelta(0)
    critical: Duration = timedelta(0)
    earned_for: Duration = Field(
        default=timedelta(days=14),
        description="How long it keeps counting when upstream has moved on.",
    )


class ApprovalsEntry(Entry):
    """How many different members of a GitLab group must consent."""

    count: int = Field(default=0, ge=0, le=100)
    group: GroupPath | None = None


class FreezeEntry(Entry):
    """No promotion: recurring (`start` and `duration`) or by dates (`first_day` and `until`)."""

    name: str = Field(min_length=1, max_length=80)
    zone: str = Field(default="UTC", description="IANA time zone.")
    start: str | None = Field(default=None, description="Cron expression, five fields.")
    duration: Duration | None = None
    first_day: date | None = None
    until: date | None = Field(default=None, description="The last frozen day.")


class HealthEntry(Entry):
    """How health is looked at."""

    timeout: Duration = timedelta(seconds=5)
    look_every: Duration = timedelta(seconds=20)
    heartbeat: Duration = timedelta(minutes=10)
    failures_in_a_row: int = Field(default=3, ge=1, le=100)


class MetricsEntry(Entry):
    """A Prometheus, and what its metrics are called."""

    url: Address
    requests: MetricName = "http_requests_total"
    code: MetricName = "code"
    duration: MetricName = Field(
        default="http_request_duration_seconds", description="A histogram, without _bucket."
    )
    cpu: MetricName = "container_cpu_usage_seconds_total"
    memory: MetricName = "container_memory_working_set_bytes"
    limits: MetricName = "kube_pod_container_resource_limits"
    labels: dict[MetricName, str] = Field(
        default={}, description="More labels that every query asks for."
    )


class SuitesEntry(Entry):
    """The repository whose pipelines are the contract and end-to-end tests."""

    repository: str = Field(description="Name of a repository of this catalog.")
    ref: str = Field(default="main", min_length=1)
    timeout: Duration = timedelta(minutes=20)


class HotfixEntry(Entry):
    """A shorter soak for what a merge request brought to main as a hotfix."""

    soak: SoakEntry
    group: GroupPath = Field(description="Its members may use it: the merge request's author.")
    branch: str = Field(default="hotfix/*", description="Shell pattern of the source branch.")
    label: str = "hotfix"


class OverrideEntry(Entry):
    """Who may let a candidate past which closed gates."""

    group: GroupPath
    gates: tuple[GateName, ...] = Field(min_length=1)
    lasts: Duration = timedelta(hours=4)


class EnvironmentEntry(SafeguardsEntry):
    """Where services run."""

    namespace: Label
    ref: RefEntry
    upstream: str | None = None
    context: str | None = Field(default=None, description="Context of the kubeconfig.")
    base_url: Address | None = None
    automatic: bool = Field(default=False, description="Rolls out by itself when its gate is open.")
    operators: GroupPath | None = Field(
        default=None, description="GitLab group that may promote, roll back and hold here."
    )
    rollout_timeout: Duration = timedelta(seconds=300)
    gates: tuple[GateName, ...] = ()
    soak: SoakEntry = SoakEntry()
    approvals: ApprovalsEntry = ApprovalsEntry()
    freezes: tuple[FreezeEntry, ...] = ()
    health: HealthEntry = HealthEntry()
    metrics: MetricsEntry | None = None
    suites: SuitesEntry | None = None
    hotfix: HotfixEntry | None = None
    override: OverrideEntry | None = None


class RetentionEntry(Entry):
    """From which age on what is removed that is evidence of nothing."""

    runs: Duration = Field(
        default=timedelta(days=90), description="Runs that recorded nothing: called off, refused."
    )
    heartbeats: Duration = Field(
        default=timedelta(days=180), description="Looks at which nothing had changed."
    )
    jobs: Duration = Field(
        default=timedelta(days=1), description="Finished Jobs of runs on the cluster."
    )


class CatalogFile(Entry):
    """A catalog: repositories, environments and services by name."""

    name: str = Field(min_length=1, max_length=80)
    forge_url: Address = Field(description="GitLab.")
    registry_url: Address = Field(description="The image registry.")
    notify_channel: str | None = Field(default=None, description="Chat channel for what happens.")
    retention: RetentionEntry = RetentionEntry()
    repositories: dict[str, RepositoryEntry] = Field(min_length=1)
    environments: dict[str, EnvironmentEntry] = Field(min_length=1)
    services: dict[str, ServiceEntry] = Field(min_length=1)
