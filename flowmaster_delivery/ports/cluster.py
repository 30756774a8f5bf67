"""Kubernetes: what runs, and changing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.rollout import Lease, Pod, Workload


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
        self,
        service: Service,
        reference: str,
        name: str,
        timeout: float,
        command: Sequence[str] = (),
    ) -> tuple[bool, str]:
        """Run the service's Job once with the image; whether it succeeded, and its last words.

        `command` replaces that of the container, arguments included, where it is given. A Job of
        that name that exists already is awaited, not run again.
        """

    def create_canary(
        self,
        service: Service,
        reference: str,
        *,
        pods: int,
        annotations: Mapping[str, str | None],
        weighted: bool = False,
    ) -> Workload:
        """Create the Deployment of `service.canary`: the service's own as it is now, but for
        name, image, replicas, annotations and its pods' labels.

        The pods are reached through the same Kubernetes Service; with `weighted` through a Service
        of their own, to which `weigh` sends a share. Raise Superseded where it exists already.
        """

    def canaries(self) -> Mapping[str, Workload]:
        """Every canary Deployment of the namespace, by the workload name of its service."""

    def scale(
        self,
        service: Service,
        replicas: int,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        """Set the replicas and annotations of a canary (`service.canary`); Superseded on a
        conflict, Refused for a Deployment that is no canary of ours."""

    def remove(self, service: Service, uid: str) -> None:
        """Delete the canary (`service.canary`) with this uid, its pods and what `create_canary`
        made beside it. The pods may still be ending when this returns.

        Nothing happens where it is gone already; Superseded where another one has its name,
        Refused for a Deployment that is no canary of ours.
        """

    def weigh(self, service: Service, percent: int) -> str | None:
        """Send so many percent of the service's requests to its canary, by the HTTPRoute that leads
        to the service; what was set, in words, or None where no route does. 0 takes it back."""

    def apply(self, manifests: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        """Create or update objects; the names of those that changed."""

    def acquire(self, service: str, holder: str, *, preempt: bool, ttl: float) -> Lease:
        """Take the lease of a service. Raise Refused, naming the holder, where it is held and alive
        and `preempt` is false; with `preempt` the next token is taken at once (rollbacks)."""

    def renew(self, lease: Lease, ttl: float) -> None:
        """Raise Superseded where a newer token has been taken."""

    def release(self, lease: Lease) -> None: ...


class ClusterOf(Protocol):
    """The clusters, one door per environment."""

    def __call__(self, environment: Environment) -> Cluster: ...
