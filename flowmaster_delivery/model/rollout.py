"""Rollout: what runs on the cluster, how far a change of it has come, and what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.migration import SchemaNeed, SchemaRange
from flowmaster_delivery.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Why a pod is not ready, in the cluster's own words."""

    pod: str
    container: str
    reason: str
    message: str
    restarts: int = 0
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a workload. `digest` is what really runs (the image id), None until it does."""

    name: str
    address: str | None
    ready: bool
    template_hash: str | None
    digest: str | None
    problems: tuple[PodProblem, ...] = ()
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A Deployment's Progressing condition, kept whole: a stale one is told by comparing (§1.2)."""

    status: str
    reason: str
    message: str
    updated: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment as it was read in one moment."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    observed_generation: int
    revision: int
    paused: bool
    desired: int
    updated: int
    total: int
    available: int
    images: Mapping[str, str]
    """Container to image reference, sidecars included."""
    annotations: Mapping[str, str]
    template_hash: str | None
    """Of the newest ReplicaSet, where it is known."""
    progressing: Condition | None = None
    replica_failure: str | None = None
    image_owners: tuple[str, ...] = ()
    """Field managers, other than us, that own an image field of the template."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lock of one service in one environment; `token` only ever grows."""

    service: str
    holder: str
    token: int


def lease_name(service: str) -> str:
    """What the lease of a service is called on its cluster."""
    return f"flowmaster-{service}"


def watch_lease(environment: str) -> str:
    """Whose lease the watch of an environment takes: no service can have this name, with a dot."""
    return f"watch.{environment}"


class Phase(StrEnum):
    WAITING = "waiting"
    ENDING = "ending"
    """All of it runs the image; pods of before, that get no new requests, have not ended yet."""
    COMPLETE = "complete"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rollout has come, with the sentence that says so."""

    phase: Phase
    message: str
    problems: tuple[PodProblem, ...] = ()


class Method(StrEnum):
    """How a service came to run an image."""

    ROLLOUT = "rollout"
    ROLLBACK = "rollback"
    ADOPTION = "adoption"
    RELEASE = "release"
    """Built and released, not deployed: artifacts."""


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """What was done to one service in one environment: `<service>/deployment`."""

    service: str
    environment: str
    method: Method
    outcome: Outcome
    digest: str
    previous_digest: str | None
    fingerprint: str
    commit: str
    started_at: datetime
    finished_at: datetime
    asked_by: str
    reason: str = ""
    version: str | None = None
    revision: int | None = None
    token: int | None = None
    """The fencing token it held."""
    run_id: str = ""
    message: str = ""
    problems: tuple[PodProblem, ...] = field(default=())
    changed: bool = True
    """False where the image ran already and nothing was touched."""
    judgements: tuple[Judgement, ...] = ()
    """Of its canary, in the order in which they were made."""
    schemas: tuple[SchemaNeed, ...] = ()
    """What the image says of the schemas that it works on."""

    def needs(self, job: str) -> SchemaRange | None:
        """Versions of a job's schema that the image runs on; None where it said nothing."""
        return next((one.versions for one in self.schemas if one.job == job), None)


def last_success(newest_first: Iterable[DeploymentRecord]) -> DeploymentRecord | None:
    """The newest deployment that came to its end; a later one may have touched the service too."""
    return next((record for record in newest_first if record.outcome is Outcome.SUCCESS), None)
