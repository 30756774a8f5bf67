"""The outside world on one page: what the flows ask of it, in our vocabulary.

Every call may raise `model.errors`: Transient where the same call may go through later, Permanent
where not. A failed read raises; it never answers with an empty world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from flowmaster_delivery.model.catalog import Environment, Repository, Service
from flowmaster_delivery.model.events import Event
from flowmaster_delivery.model.health import HealthObservation, ProbeResult
from flowmaster_delivery.model.image import ImageRecord, RegistryImage
from flowmaster_delivery.model.promotion import Admission, Approval, Hold, ReleaseSeen
from flowmaster_delivery.model.rollout import DeploymentRecord, Lease, Pod, Workload
from flowmaster_delivery.model.run import LaunchedRun, RunOrder, RunReason
from flowmaster_delivery.model.source import (
    Commit,
    ForgeDeployment,
    Job,
    MergeRequest,
    Person,
    Pipeline,
    Refs,
)

Record = (
    ImageRecord | Admission | DeploymentRecord | HealthObservation | Hold | Approval | ReleaseSeen
)
"""Everything that the history holds."""


class Forge(Protocol):
    """GitLab. Each call costs a number of requests that does not grow with services or tags."""

    def refs(self, repository: Repository) -> Refs:
        """All branches and tags, by git's protocol v2: two requests."""

    def pipelines(self, repository: Repository) -> tuple[Pipeline, ...]:
        """The newest pipelines (up to 100), newest first: one request."""

    def pipelines_of(self, repository: Repository, commit: str) -> tuple[Pipeline, ...]:
        """Pipelines of one commit, newest first."""

    def jobs(self, repository: Repository, pipeline: int) -> tuple[Job, ...]: ...

    def trees(
        self, repository: Repository, commit: str, paths: Iterable[str]
    ) -> Mapping[str, str | None]:
        """Git object id of each path at the commit, None where it does not exist there.

        One request per different parent folder, whatever the number of paths.
        """

    def files(self, repository: Repository, commit: str, folder: str) -> Mapping[str, bytes]:
        """Every file below a folder by its path within it; Malformed where there are too many."""

    def commit(self, repository: Repository, commit: str) -> Commit:
        """Raise NotFound where GitLab has no such commit."""

    def commits_between(
        self, repository: Repository, base: str | None, head: str, paths: Sequence[str] = ()
    ) -> tuple[Commit, ...]:
        """Commits in `head` and not in `base`, newest first; only those that touch `paths`, if any.

        From the first commit on where `base` is None; at most 1,000.
        """

    def first_parents(self, repository: Repository, commit: str, limit: int) -> tuple[Commit, ...]:
        """The commit and its first-parent ancestors, newest first."""

    def contains(self, repository: Repository, ref: str, commit: str) -> bool:
        """Whether the commit is an ancestor of (or is) the head of `ref`."""

    def branch_is_protected(self, repository: Repository, branch: str) -> bool: ...

    def merge_request_of(
        self, repository: Repository, commit: str, target: str
    ) -> MergeRequest | None:
        """The merged merge request into `target` that brought the commit, with its approvals."""

    def members(self, group: str) -> frozenset[str]:
        """Usernames of the active people who are direct members of the group.

        Those of the groups above it are not, as in GitLab's own approval rules: else every
        developer of the top group would be in each of its subgroups.
        """

    def person_by_email(self, email: str) -> Person | None: ...

    def person_of(self, token: str) -> Person:
        """Whose token it is; raise Denied where it is nobody's. The token is not kept."""

    def record_deployment(
        self, repository: Repository, environment: Environment, commit: str, ref: str, status: str
    ) -> ForgeDeployment:
        """Write a deployment back (running, success, failed, canceled), creating or updating.

        Safe to repeat: an unfinished deployment of the same commit and environment is reused.
        """

    def url(
        self, repository: Repository, *, commit: str | None = None, tag: str | None = None
    ) -> str:
        """The page of a repository, a commit or a tag, for people."""


class Registry(Protocol):
    """The OCI registry. `image` is a path without host and tag."""

    def digest_of(self, image: str, tag: str) -> RegistryImage | None:
        """What a tag stands for; None where there is no such tag or repository."""

    def read(self, image: str, digest: str) -> RegistryImage | None:
        """The image of a digest with its labels; None where the registry does not have it."""

    def tag(self, image: str, digest: str, tag: str) -> None:
        """Let a tag stand for the digest. Raise Refused where it stands for another one already."""

    def has_signature(self, image: str, digest: str) -> bool:
        """Whether a signature is attached to the digest (referrers API or tag schema)."""


class Cluster(Protocol):
    """One environment's namespace on one cluster."""

    def workload(self, service: Service) -> Workload:
        """Raise NotFound where the service is not on the cluster."""

    def workloads(self) -> Mapping[str, Workload]:
        """Every Deployment of the namespace by name, in one request."""

    def pods(self, service: Service, template_hash: str | None = None) -> tuple[Pod, ...]:
        """The workload's pods; only those of one pod template where a hash is given."""

    def all_pods(self) -> Mapping[str, tuple[Pod, ...]]:
        """Every pod of the namespace by the name of its Deployment, in one request each kind."""

    def set_image(
        self,
        service: Service,
        reference: str,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        """Set the service's container to the image, and annotations, in one strategic-merge patch.

        Sidecars stay. Raise Superseded on a conflict; after a timeout the workload is read back
        before anything is concluded.
        """

    def annotate(
        self, service: Service, *, resource_version: str, annotations: Mapping[str, str | None]
    ) -> Workload:
        """Set annotations of the Deployment only; Superseded on a conflict."""

    def wait_for_change(self, service: Service, seen: str, timeout: float) -> None:
        """Return when the workload or one of its pods changed after resource version `seen`,
        or after `timeout` seconds; level-triggered callers read again either way."""

    def pod_answers(self, service: Service, pod: Pod, timeout: float) -> ProbeResult:
        """GET the service's health path on one pod: by its address inside the cluster, by the
        API server's pod proxy outside."""

    def run_job(
        self, service: Service, reference: str, name: str, timeout: float
    ) -> tuple[bool, str]:
        """Run the service's Job once with the image; whether it succeeded, and its last words.

        A Job of that name that exists already is awaited, not run again.
        """

    def apply(self, manifests: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        """Create or update objects; the names of those that changed."""

    def acquire(self, service: str, holder: str, *, preempt: bool, ttl: float) -> Lease:
        """Take the lease of a service. Raise Refused, naming the holder, where it is held and alive
        and `preempt` is false; with `preempt` the next token is taken at once (rollbacks)."""

    def renew(self, lease: Lease, ttl: float) -> None:
        """Raise Superseded where a newer token has been taken."""

    def release(self, lease: Lease) -> None: ...


class Probe(Protocol):
    """HTTP looks at public addresses."""

    def get(self, url: str, timeout: float) -> ProbeResult:
        """Never raises for what the far end does: that is what it reports."""


class History(Protocol):
    """The record of what was done and seen: Dagster's event log, read and written by one adapter.

    Only what our own code wrote counts; reports made by hand in the UI are ignored. All reads are
    newest first unless said otherwise, and see what other processes wrote.
    """

    def images(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[ImageRecord, ...]: ...

    def admissions(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[Admission, ...]: ...

    def deployments(
        self, service: str, environment: str, limit: int = 50
    ) -> tuple[DeploymentRecord, ...]: ...

    def observations(
        self, service: str, environment: str, since: datetime | None = None, limit: int = 1000
    ) -> tuple[HealthObservation, ...]: ...

    def holds(self) -> tuple[Hold, ...]:
        """Every hold of every service, the last state of each; released ones included."""

    def approvals(self, repository: str, version: str) -> tuple[Approval, ...]:
        """Recorded approvals and withdrawals of a version, at whatever commit; oldest first."""

    def releases(self, repository: str, limit: int = 200) -> tuple[ReleaseSeen, ...]: ...

    def record(self, record: Record) -> None:
        """Write one record outside of a run (inside, the asset materializes it)."""


class Notifier(Protocol):
    """Tells people. Never raises: delivery does not wait for a chat server."""

    def tell(self, event: Event) -> None: ...


class Launcher(Protocol):
    """Starts runs from outside of Dagster (webhook receiver, API)."""

    def launch(self, order: RunOrder, asked_by: str) -> LaunchedRun:
        """Launch, or answer with the run that this occasion has already."""

    def find(self, occasion: str) -> LaunchedRun | None: ...

    def runs(self, tags: Mapping[str, str]) -> tuple[LaunchedRun, ...]:
        """The newest runs (up to 20) with all of these tags, newest first."""

    def run(self, run_id: str) -> LaunchedRun:
        """Raise NotFound where there is no such run."""


class ClusterOf(Protocol):
    """The clusters, one door per environment."""

    def __call__(self, environment: Environment) -> Cluster: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it, as the flows take it."""

    forge: Forge
    registry: Registry
    cluster: ClusterOf
    probe: Probe
    history: History
    notifier: Notifier


__all__ = [
    "Cluster",
    "ClusterOf",
    "Forge",
    "History",
    "LaunchedRun",
    "Launcher",
    "Lease",
    "Notifier",
    "Ports",
    "Probe",
    "Record",
    "Registry",
    "RunOrder",
    "RunReason",
]
