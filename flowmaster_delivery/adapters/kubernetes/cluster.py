"""One environment's namespace: the port `Cluster`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import urllib3

from flowmaster_delivery.adapters.kubernetes import shapes
from flowmaster_delivery.adapters.kubernetes.api import (
    MANAGER,
    METADATA_ONLY,
    STRATEGIC,
    Api,
    Object,
    TooSlow,
)
from flowmaster_delivery.adapters.kubernetes.canaries import CANARY_OF, Canaries
from flowmaster_delivery.adapters.kubernetes.gathering import Gathering
from flowmaster_delivery.adapters.kubernetes.jobs import Jobs
from flowmaster_delivery.adapters.kubernetes.leases import Leases
from flowmaster_delivery.adapters.kubernetes.objects import Objects
from flowmaster_delivery.adapters.kubernetes.routes import Routes
from flowmaster_delivery.adapters.kubernetes.watching import NamespaceWatch
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import Denied, NotFound, Unreachable
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.rollout import Pod, Workload
from flowmaster_delivery.ports import Lease

FEW = 2
"""Up to so many are read one by one; for more, the whole namespace is listed."""


class KubernetesCluster:
    """A namespace of an API server. Thread-safe; `inside` where this process runs on the cluster.

    `containers` is Deployment to the container whose image counts, where it is not of that name.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        *,
        inside: bool = False,
        containers: Mapping[str, str] | None = None,
    ) -> None:
        self._api, self._namespace, self._inside = api, namespace, inside
        self._containers = dict(containers or {})
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._replica_sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._leases = Leases(api, namespace, lambda: datetime.now(UTC))  # noqa: TID251  # the clock of leases
        self._jobs, self._objects = Jobs(api, namespace), Objects(api, namespace)
        self._canaries, self._routes = Canaries(api, namespace), Routes(api, namespace)
        self._watch = NamespaceWatch(api, namespace)
        self._asked_workloads: Gathering[Workload] = Gathering(self._read_workloads)
        self._asked_pods: Gathering[tuple[Pod, ...]] = Gathering(lambda _: self.all_pods())

    def close(self) -> None:
        """End what runs in the background."""
        self._watch.close()

    def workload(self, service: Service) -> Workload:
        found = self._asked_workloads.get(service.workload_name)
        if found is None:
            raise NotFound(
                f"there is no Deployment {service.workload_name} in namespace {self._namespace} "
                f"at {self._api.server}; create it, or correct `workload` in the catalog"
            )
        return found

    def workloads(self) -> Mapping[str, Workload]:
        deployments = _items(self._api.get(self._deployments))
        owned = self._hashes("")
        return {
            d["metadata"]["name"]: shapes.workload(d, owned.get(d["metadata"]["uid"], ()))
            for d in deployments
        }

    def pods(self, service: Service, template_hash: str | None = None) -> tuple[Pod, ...]:
        found = self._asked_pods.get(service.workload_name) or ()
        return tuple(p for p in found if template_hash in (None, p.template_hash))

    def all_pods(self) -> Mapping[str, tuple[Pod, ...]]:
        grouped: dict[str, list[Pod]] = {}
        for raw in _items(self._api.get(self._pods)):
            name = shapes.deployment_of(raw)
            if name and not shapes.is_over(raw):
                pod = shapes.pod(raw, self._containers.get(name, name))
                grouped.setdefault(name, []).append(pod)
        return {name: tuple(pods) for name, pods in grouped.items()}

    def set_image(
        self,
        service: Service,
        reference: str,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        container = {"name": service.container_name, "image": reference}
        body = {
            "metadata": {"annotations": dict(annotations)},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }
        return self._patch(service, resource_version, body)

    def annotate(
        self, service: Service, *, resource_version: str, annotations: Mapping[str, str | None]
    ) -> Workload:
        body: Object = {"metadata": {"annotations": dict(annotations)}}
        return self._patch(service, resource_version, body)

    def wait_for_change(self, service: Service, seen: str, timeout: float) -> None:
        self._watch.wait(service.workload_name, seen, timeout)

    def pod_answers(self, service: Service, pod: Pod, timeout: float) -> ProbeResult:
        if self._inside:
            return _ask_pod(service, pod, timeout)
        port = f":{service.port}" if service.port else ""
        name = quote(f"{pod.name}{port}", safe=":")
        path = f"{self._pods}/{name}/proxy{service.health_path}"
        return self._ask_proxy(path, timeout)

    def run_job(
        self,
        service: Service,
        reference: str,
        name: str,
        timeout: float,
        command: Sequence[str] = (),
    ) -> tuple[bool, str]:
        return self._jobs.run(service, reference, name, timeout, command)

    def create_canary(
        self,
        service: Service,
        reference: str,
        *,
        pods: int,
        annotations: Mapping[str, str | None],
        weighted: bool = False,
    ) -> Workload:
        made = self._canaries.create(service, reference, pods, annotations, weighted=weighted)
        return shapes.workload(made, ())

    def canaries(self) -> Mapping[str, Workload]:
        found = self._canaries.all()
        owned = self._hashes(CANARY_OF) if found else {}
        return {
            name: shapes.workload(d, owned.get(d["metadata"]["uid"], ()))
            for name, d in found.items()
        }

    def scale(
        self,
        service: Service,
        replicas: int,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        self._canaries.read(service.workload_name)
        body = {"metadata": {"annotations": dict(annotations)}, "spec": {"replicas": replicas}}
        return self._patch(service, resource_version, body)

    def remove(self, service: Service, uid: str) -> None:
        self._canaries.remove(service.workload_name, uid)

    def weigh(self, service: Service, percent: int) -> str | None:
        return self._routes.weigh(service, percent)

    def apply(self, manifests: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        return self._objects.apply(manifests)

    def acquire(self, service: str, holder: str, *, preempt: bool, ttl: float) -> Lease:
        return self._leases.acquire(service, holder, preempt=preempt, ttl=ttl)

    def renew(self, lease: Lease, ttl: float) -> None:
        self._leases.renew(lease, ttl)

    def release(self, lease: Lease) -> None:
        self._leases.release(lease)

    def _read_workloads(self, names: frozenset[str]) -> Mapping[str, Workload]:
        if len(names) > FEW:
            return self.workloads()
        found = {}
        for name in names:
            try:
                deployment = self._api.get(f"{self._deployments}/{quote(name, safe='')}")
            except NotFound:
                continue
            owned = self._hashes(_selector(deployment)).get(deployment["metadata"]["uid"], ())
            found[name] = shapes.workload(deployment, owned)
        return found

    def _hashes(self, selector: str) -> Mapping[str, list[Object]]:
        """Metadata of ReplicaSets by the uid of their Deployment."""
        query = {"labelSelector": selector} if selector else None
        grouped: dict[str, list[Object]] = {}
        for item in _items(self._api.get(self._replica_sets, query, accept=METADATA_ONLY)):
            reference = shapes.owner(item, "Deployment")
            if reference:
                grouped.setdefault(str(reference["uid"]), []).append(item)
        return grouped

    def _patch(self, service: Service, resource_version: str, body: Object) -> Workload:
        """One write on the version that was read. Without an answer it is read back: it may have
        been carried out."""
        path = f"{self._deployments}/{quote(service.workload_name, safe='')}"
        body["metadata"]["resourceVersion"] = resource_version
        query = {"fieldManager": MANAGER}
        try:
            after = self._api.once("PATCH", path, query=query, body=body, content_type=STRATEGIC)
        except Unreachable:
            after = self._api.get(path)
            if not _carried_out(after, body):
                raise
        return shapes.workload(after, ())

    def _ask_proxy(self, path: str, timeout: float) -> ProbeResult:
        """What the pod answered, or why the API server could not ask it."""
        started = time.monotonic()
        url = f"{self._api.server}{path}"
        try:
            status, text = self._api.raw(path, timeout)
        except TooSlow:
            seconds = time.monotonic() - started
            return ProbeResult(url, None, seconds, f"gave no answer within {timeout:g} s")
        seconds = time.monotonic() - started
        if b'"kind":"Status"' in text.replace(b" ", b""):
            return self._not_asked(url, status, text, seconds)
        return ProbeResult(url, status, seconds)

    def _not_asked(self, url: str, status: int, text: bytes, seconds: float) -> ProbeResult:
        """The API server speaks, not the pod: it got no answer (5xx), or must not ask (4xx)."""
        said = text.decode("utf-8", "replace")
        if status < 500:
            raise Denied(f"the pod at {url} cannot be asked ({status}): {said[:200]}")
        return ProbeResult(url, None, seconds, f"gave the API server no answer: {said[:300]}")


def _items(listed: Object) -> Sequence[Object]:
    return listed.get("items") or ()


def _selector(deployment: Object) -> str:
    labels = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _carried_out(deployment: Object, body: Object) -> bool:
    """Whether a Deployment has all the annotations, images and replicas of a patch."""
    annotations = deployment["metadata"].get("annotations") or {}
    wanted, spec = body["metadata"]["annotations"], body.get("spec", {})
    template = spec.get("template", {}).get("spec", {})
    running = deployment["spec"]["template"]["spec"]["containers"]
    images = {c["name"]: c.get("image") for c in running}
    return (
        all(annotations.get(key) == value for key, value in wanted.items())
        and all(images.get(c["name"]) == c["image"] for c in template.get("containers", ()))
        and spec.get("replicas") in (None, deployment["spec"].get("replicas"))
    )


def _ask_pod(service: Service, pod: Pod, timeout: float) -> ProbeResult:
    """Straight to the pod's address; what the far end does is the result."""
    host = f"[{pod.address}]" if pod.address and ":" in pod.address else pod.address
    url = f"http://{host}:{service.port or 80}{service.health_path}"
    if pod.address is None:
        return ProbeResult(url, None, 0.0, f"pod {pod.name} has no address yet")
    started = time.monotonic()
    try:
        response = urllib3.request(
            "GET", url, timeout=timeout, retries=False, redirect=False, preload_content=False
        )
    except urllib3.exceptions.HTTPError as error:
        return ProbeResult(url, None, time.monotonic() - started, str(error))
    response.close()
    return ProbeResult(url, response.status, time.monotonic() - started)
