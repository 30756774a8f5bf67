"""All that the platform ever asks of a cluster: each method of the port, by each of its ways.

What is asked is seen at the far end of the wire. The flows add nothing: they know the port alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.model.canary import Traffic
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import Denied, Superseded
from flowmaster_delivery.model.rollout import Pod, Workload, watch_lease
from flowmaster_delivery.ports import Cluster
from tests.contracts.accounts import Account
from tests.contracts.containers import delivery_to, in_a_step
from tests.contracts.namespaces import API, a_reference, await_until

WITHOUT_ADDRESS = Pod("starting", None, ready=False, template_hash=None, digest=None)
"""From within the cluster it is asked by its address alone, and so not at all."""


class Called:
    """A cluster that remembers which of its methods were called."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self.methods = cluster, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.methods.add(name)
        return getattr(self._cluster, name)


@dataclass
class Surface:
    """An environment, with the service `api` running in it, that is gone through."""

    cluster: Any
    account: Account
    environment: Environment
    catalog: Catalog
    inside: bool

    def walk(self) -> None:
        """Whatever the catalog has there is done once, under its lease; the watch has its own."""
        watching = self.cluster.acquire(
            watch_lease(self.environment.name), "watch-1", preempt=False, ttl=30
        )
        self.cluster.renew(watching, 30)
        ways = {Kind.DEPLOYMENT: self.deploy, Kind.JOB: self.migrate, Kind.MANIFESTS: self.apply}
        for service in self.catalog.services.values():
            lease = self.cluster.acquire(service.name, "run-1", preempt=False, ttl=30)
            self.cluster.renew(lease, 30)
            ways[service.kind](service)
            self.cluster.release(lease)
        self.cluster.release(watching)

    def look(self) -> None:
        """All that whoever only reads ever does."""
        self.cluster.workloads()
        self.cluster.all_pods()
        self.cluster.canaries()
        self.cluster.workload(API)
        self.cluster.pods(API)

    def deploy(self, service: Service) -> None:
        self.look()
        version = self.cluster.workload(service).resource_version
        self.cluster.wait_for_change(service, version, 0.5)
        self.write(service, partial(self.cluster.annotate, service))
        self.write(service, partial(self.cluster.set_image, service, a_reference()))
        await_until(lambda: self.rolled_out(service))
        pod = WITHOUT_ADDRESS if self.inside else self.cluster.pods(service)[0]
        with suppress(Denied):  # the pods of a real API server without a node have no process
            self.cluster.pod_answers(service, pod, 2.0)
        if rule := self.environment.safeguards_of(service).canary:
            self.try_out(service, weighted=rule.traffic is not Traffic.PODS)
        if any(test.image for test in service.smoke):
            self.test(service)

    def write(self, service: Service, call: Callable[..., Workload]) -> None:
        """On the version that is read just before; the controllers write all the time."""
        while True:
            version = self.cluster.workload(service).resource_version
            with suppress(Superseded):
                call(resource_version=version, annotations={"example.org/note": "1"})
                return

    def rolled_out(self, service: Service) -> bool:
        seen = self.cluster.workload(service)
        self.cluster.wait_for_change(service, seen.resource_version, 1.0)
        return bool(seen.updated == seen.available == seen.total and seen.revision > 1)

    def try_out(self, service: Service, *, weighted: bool) -> None:
        canary = self.cluster.create_canary(
            service, a_reference(), pods=1, annotations={}, weighted=weighted
        )
        if weighted:
            self.cluster.weigh(service, 10)
            self.cluster.weigh(service, 0)
        self.write(service.canary, partial(self.cluster.scale, service.canary, 0))
        self.cluster.remove(service.canary, canary.uid)

    def migrate(self, service: Service) -> None:
        assert self.cluster.run_job(service, a_reference(), f"{service.workload_name}-1", 20.0)[0]

    def apply(self, service: Service) -> None:
        for value in "12":
            self.cluster.apply([a_config_map(service.name, value)])

    def test(self, service: Service) -> None:
        with closing(KubernetesClusters(self.account.kubeconfig)) as clusters:
            delivery = delivery_to(self.account.kubeconfig, clusters)
            in_a_step(delivery, service, self.environment, service.smoke)
        # As it goes on where dagster-k8s did not get as far as to make its Job.
        job = replace(service, workload="smoke-api-late", container="smoke-api-late")
        self.cluster.run_job(job, service.smoke[0].image, job.workload, 20.0)


def a_config_map(name: str, value: str) -> dict[str, object]:
    meta = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": value}}
