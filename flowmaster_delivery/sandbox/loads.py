"""What every pod of the sandbox's cluster has to carry, as the traffic sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowmaster_delivery.sandbox.figures import UNLIMITED_BYTES, UNLIMITED_CORES, Load, Use
from flowmaster_delivery.sandbox.kubernetes import KubernetesSandbox, RunningPod
from flowmaster_delivery.sandbox.kubernetes.kinds import DEPLOYMENTS, name_of, namespace_of
from flowmaster_delivery.sandbox.orders import CANARY, Behaviours, ServiceBehaviour, service_of
from flowmaster_delivery.sandbox.sharing import shares_of


@dataclass(slots=True)
class Loads:
    """Call it for the loads of now; while nothing changes, it answers with the same object."""

    kubernetes: KubernetesSandbox
    behaviours: Behaviours
    _version: tuple[int, int] | None = None
    _loads: Sequence[Load] = ()

    def __call__(self) -> Sequence[Load]:
        version = (self.kubernetes.pods.version, self.behaviours.version)
        if version != self._version:
            self._loads = tuple(self._all())
            self._version = version
        return self._loads

    def _all(self) -> Iterator[Load]:
        """Pods of Deployments; a canary's among those of its service."""
        workloads = {
            (namespace_of(d), service_of(name_of(d))): None
            for d in self.kubernetes.store.all(DEPLOYMENTS)
        }
        for namespace, service in workloads:
            yield from self._of(namespace, service)

    def _of(self, namespace: str, service: str) -> Iterator[Load]:
        pods = self.kubernetes.pods
        running = pods.running(namespace, service) + pods.running(namespace, service + CANARY)
        if not running:
            return
        shares: dict[str, float] = {}
        for pod, share in shares_of(pods.backends(namespace, service)):
            if pod is not None:
                shares[pod.name] = shares.get(pod.name, 0.0) + share
        for one in running:
            told = self.behaviours.service(namespace, service, one.image)
            yield _load(namespace, service, one, told, shares.get(one.name, 0.0))


def _load(
    namespace: str, service: str, pod: RunningPod, told: ServiceBehaviour, share: float
) -> Load:
    return Load(
        namespace,
        service,
        pod.name,
        pod.ready and not told.down,
        told.requests_per_second * share,
        told.failure_rate,
        told.status,
        told.delay,
        tuple(_uses(pod, told)),
    )


def _uses(pod: RunningPod, told: ServiceBehaviour) -> Iterator[Use]:
    for container in pod.containers:
        cores = UNLIMITED_CORES if container.cpu_limit is None else container.cpu_limit
        memory = UNLIMITED_BYTES if container.memory_limit is None else container.memory_limit
        yield Use(
            container.name,
            told.cpu * cores,
            told.memory * memory,
            container.cpu_limit,
            container.memory_limit,
        )
