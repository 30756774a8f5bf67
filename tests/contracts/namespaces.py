"""A namespace of its own on a cluster to test against, with Deployments as a catalog has them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.canary import CanaryRule, Traffic
from flowmaster_delivery.model.catalog import Environment, Kind, RefKind, RefRule, Service
from flowmaster_delivery.model.errors import NotFound
from flowmaster_delivery.model.rollout import Workload
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.policy.rights import rights_of
from flowmaster_delivery.ports import Cluster
from tests.builders import a_catalog
from tests.contracts.clusters import CONTEXT, Target

API = Service("api", Kind.DEPLOYMENT, "r", "api", "group/api", container="app", port=8080)
LABELS = {"app": "api", "tier": "backend"}


@dataclass
class Namespace:
    target: Target
    api: Api
    cluster: Cluster
    name: str

    def path(self, plural: str, name: str = "") -> str:
        root = {
            "deployments": "/apis/apps/v1",
            "replicasets": "/apis/apps/v1",
            "jobs": "/apis/batch/v1",
            "leases": "/apis/coordination.k8s.io/v1",
            "httproutes": "/apis/gateway.networking.k8s.io/v1",
        }.get(plural, "/api/v1")
        return f"{root}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def get(self, plural: str, name: str) -> dict[str, Any]:
        return self.api.get(self.path(plural, name))

    def names(self, plural: str) -> set[str]:
        return {item["metadata"]["name"] for item in self.api.get(self.path(plural))["items"]}

    def has(self, plural: str, name: str) -> bool:
        try:
            self.get(plural, name)
        except NotFound:
            return False
        return True

    def create(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.api.once("POST", self.path(plural), body=body)

    def merge(self, plural: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Somebody else writes."""
        merge = "application/merge-patch+json"
        path = self.path(plural, name)
        return self.api.once("PATCH", path, body=body, content_type=merge)

    def deploy(self, image: str, replicas: int = 2, **spec: object) -> Workload:
        """The service's Deployment, with a sidecar and what other tools leave on it; when it
        runs."""
        containers = [{"name": "app", "image": image}, {"name": "proxy", "image": a_reference()}]
        template = {
            "metadata": {"labels": LABELS, "annotations": {"prometheus.io/scrape": "true"}},
            "spec": {"containers": containers, "terminationGracePeriodSeconds": 1},
        }
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "api",
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "api"}},
                "template": template,
                **spec,
            },
        }
        self.create("deployments", body)
        return self.await_available(API, replicas)

    def front(self) -> None:
        """The Kubernetes Service of the service."""
        port = {"name": "http", "port": 80, "targetPort": 8080}
        spec = {"selector": LABELS, "ports": [port]}
        self.create(
            "services",
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}, "spec": spec},
        )

    def await_available(self, service: Service, pods: int) -> Workload:
        await_until(lambda: self.cluster.workload(service).available == pods)
        return self.cluster.workload(service)


@contextmanager
def namespace(target: Target, traffic: Traffic = Traffic.PODS) -> Iterator[Namespace]:
    """`cluster` has the rights that the platform needs to try the service out, and no others."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api = Api(connect(target.kubeconfig, CONTEXT))
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    api.once("POST", "/api/v1/namespaces", body=body)
    rule = RefRule(RefKind.BRANCH, "main")
    tried = Safeguards(canary=CanaryRule(steps=(), limits=(), traffic=traffic))
    environment = Environment("production", name, rule, context=CONTEXT, safeguards=tried)
    rights = rights_of(environment, a_catalog(services=[API], environments=[environment]))
    clusters = KubernetesClusters(target.account(name, rights).kubeconfig, [API])
    yield Namespace(target, api, clusters(environment), name)
    clusters.close()
    api.close()


def a_digest() -> str:
    return f"sha256:{uuid.uuid4().hex}{uuid.uuid4().hex}"


def a_reference(digest: str = "") -> str:
    return f"registry.test:5000/group/api@{digest or a_digest()}"


def await_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.03)
