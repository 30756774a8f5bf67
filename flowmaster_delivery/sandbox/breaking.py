"""Breaking what runs of a service, by its image, and mending it.

The order is for the image that runs now: another one, as after a rollback, is well. So a person can
play the release that turns bad, and see what the platform makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowmaster_delivery.model.errors import NotFound, UnknownName
from flowmaster_delivery.sandbox.orders import CANARY, Behaviours, PodBehaviour, ServiceBehaviour
from flowmaster_delivery.sandbox.services import Running
from flowmaster_delivery.sandbox.sharing import RunningPod


@dataclass(frozen=True, slots=True)
class Illness:
    """What to do to a service: how it answers, and how its pods fare where that changes too."""

    service: ServiceBehaviour | None = None
    pods: PodBehaviour | None = None

    @classmethod
    def of(cls, failure_rate: float, delay: float, *, down: bool, crash: bool) -> Illness:
        """A kubelet takes pods that answer nothing, or nothing but errors, out of the service."""
        if crash:
            return cls(pods=PodBehaviour("crash"))
        told = ServiceBehaviour(failure_rate=failure_rate, delay=delay, down=down)
        unready = down or failure_rate >= 1
        return cls(told, PodBehaviour("never_ready") if unready else None)


@dataclass(frozen=True, slots=True)
class Broken:
    """Whom the order is for: every pod of the workload that runs `image`, now or later."""

    service: str
    environment: str
    namespace: str
    workload: str
    image: str
    digest: str
    pods: int


@dataclass(frozen=True, slots=True)
class Breaking:
    """`namespaces` by environment and `workloads` by service, as the sandbox was seeded."""

    behaviours: Behaviours
    running: Running
    namespaces: Mapping[str, str]
    workloads: Mapping[str, str]

    def break_down(self, service: str, environment: str, illness: Illness) -> Broken:
        """Order it for the newest image that runs.

        Raise UnknownName for a name that nothing has, NotFound where no pod runs.
        """
        _check("environment", environment, self.namespaces)
        _check("service", service, self.workloads)
        namespace = self.namespaces.get(environment, environment)
        workload = self.workloads.get(service, service)
        pods = self._newest(namespace, workload)
        if not pods:
            raise NotFound(
                f"no pod of {service} runs in {environment}, so there is nothing to break; see "
                f"`kubectl -n {namespace} get pods`"
            )
        whom = {"namespace": namespace, "workload": workload, "image": pods[0].image}
        if illness.service is not None:
            self.behaviours.set_service(illness.service, **whom)
        if illness.pods is not None:
            self.behaviours.set_pod(illness.pods, **whom)
        image, digest = pods[0].image, pods[0].digest
        return Broken(service, environment, namespace, workload, image, digest, len(pods))

    def mend(self, service: str) -> int:
        """Take back all orders for it, everywhere; how many there were.

        Raise UnknownName for a service that nothing has.
        """
        names = {service, self.workloads.get(service, service)}
        taken_back = sum(self.behaviours.forget(name) for name in names)
        if not taken_back:
            _check("service", service, self.workloads)
        return taken_back

    def _newest(self, namespace: str, workload: str) -> list[RunningPod]:
        """The pods of the canary where there is one, else of the image that came last."""
        pods = self.running(namespace, workload + CANARY) or self.running(namespace, workload)
        newest = max(pods, key=lambda pod: pod.since, default=None)
        return [pod for pod in pods if newest is not None and pod.image == newest.image]


def _check(what: str, name: str, known: Mapping[str, str]) -> None:
    """A sandbox that was not seeded knows no names, and takes any."""
    if known and name not in known:
        raise UnknownName(what, name, known)
