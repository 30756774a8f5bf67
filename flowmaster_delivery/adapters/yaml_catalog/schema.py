"""The form of a catalog file. The JSON Schema that editors complete from is made of these types."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic import WithJsonSchema as JsonSchema

from flowmaster_delivery.model.catalog import Criticality, GateName, Kind

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
DURATION = re.compile(r"(?:\d+[dhms])+")
DURATION_PATTERN = f"^{DURATION.pattern}$"
DAY = 86_400
LONGEST = timedelta(days=366)
"""More than any duration here can mean: an upper end keeps date arithmetic in range."""


def duration(value: object) -> timedelta:
    """`24h`, `300s`, `1h30m`, `14d` as a time span; at most a year. Raise ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not DURATION.fullmatch(value) or len(value) > 32:
        raise ValueError("a duration is a number with its unit: 24h, 300s, 10m, 1h30m, 14d")
    parts = re.findall(r"(\d+)([dhms])", value)
    try:
        span = sum((timedelta(**{UNITS[u]: int(n)}) for n, u in parts), timedelta(0))
    except OverflowError:
        span = LONGEST + timedelta(days=1)
    if span > LONGEST:
        raise ValueError(f"a duration is at most {LONGEST.days}d")
    return span


def spelled(span: timedelta) -> str:
    """A time span as a file says it: `14d`, `1h30m`, `0s`."""
    left, parts = int(span.total_seconds()), []
    if left and not left % DAY:
        return f"{left // DAY}d"
    for unit, size in (("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def relative(value: str) -> str:
    """A file or folder below the repository's root, in git's own spelling; ValueError otherwise."""
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\s\0\\]", value):
        raise ValueError("a path stands below the repository's root, without '.', '..' and blanks")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(spelled, return_type=str),
    JsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["24h", "300s"]}),
]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$")]
"""Scheme and host, a port and a path where needed; never a user or password."""
ProjectPath = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)+$", max_length=255)]
GroupPath = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)*$", max_length=255)]
ImagePath = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$", max_length=255
    ),
]
RepositoryPath = Annotated[str, AfterValidator(relative)]
Label = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)
]
"""A name as Kubernetes takes it."""
Validation = Literal["health"]
"""What a rollout can be validated by; more as more is built."""


class Entry(BaseModel):
    """No field that is not known, and no guessing of types."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class EnvironmentEntry(Entry):
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
    validation: tuple[Validation, ...] = ("health",)
    health: HealthEntry = HealthEntry()


class CatalogFile(Entry):
    """A catalog: repositories, environments and services by name."""

    name: str = Field(min_length=1, max_length=80)
    forge_url: Address = Field(description="GitLab.")
    registry_url: Address = Field(description="The image registry.")
    notify_channel: str | None = Field(default=None, description="Chat channel for what happens.")
    repositories: dict[str, RepositoryEntry] = Field(min_length=1)
    environments: dict[str, EnvironmentEntry] = Field(min_length=1)
    services: dict[str, ServiceEntry] = Field(min_length=1)
