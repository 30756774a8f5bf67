"""A sandbox cluster whose clock a test turns, and the objects that tests put into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flowmaster_delivery.sandbox.kubernetes import KubernetesSandbox
from flowmaster_delivery.sandbox.kubernetes.controllers.conditions import condition
from flowmaster_delivery.sandbox.kubernetes.controllers.revisions import revision_of
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    Object,
)
from flowmaster_delivery.sandbox.kubernetes.patching import STRATEGIC, patched
from flowmaster_delivery.sandbox.orders import Behaviours, PodBehaviour

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)


class KnownImages:
    """A registry that has everything but what is named `missing`, each under its own digest."""

    def __init__(self) -> None:
        self.missing: set[str] = set()

    def resolve(self, reference: str) -> str | None:
        if reference in self.missing:
            return None
        return digest_of(reference)

    def push(self, repository: str, *, tags: Sequence[str], labels: Mapping[str, str]) -> str:
        raise AssertionError(f"nothing here builds images, and {repository} was pushed")


def digest_of(reference: str) -> str:
    return "sha256:" + reference.encode().hex().ljust(64, "0")[:64]


def deployment(name: str = "web", image: str = "shop/web:1", **spec: Any) -> Object:
    containers = [{"name": "web", "image": image}, {"name": "proxy", "image": "shop/proxy:1"}]
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            **spec,
        },
    }


def job(name: str = "migrate", image: str = "shop/migrate:1", **spec: Any) -> Object:
    template = {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": image}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": template}, **spec},
    }


class Lab:
    def __init__(self) -> None:
        self.now = BEGIN
        self.images = KnownImages()
        self.behaviours = Behaviours()
        self.sandbox = KubernetesSandbox(
            images=self.images, behaviours=self.behaviours, clock=lambda: self.now
        )
        self.store = self.sandbox.store
        self.resources = self.sandbox.resources

    def advance(self, seconds: float = 0) -> None:
        """Let time pass, the controllers at work whenever one of them wanted to."""
        end = self.now + timedelta(seconds=seconds)
        while (due := self.sandbox.loop.settle()) is not None and due <= end:
            self.now = max(due, self.now)
        self.now = end
        self.sandbox.loop.settle()

    def apply(self, item: Object, seconds: float = 0) -> Object:
        applied = self.sandbox.apply(item)
        self.advance(seconds)
        return applied

    def order(self, outcome: Any, image: str = "*", message: str = "", after: float = 1.0) -> None:
        self.behaviours.set_pod(PodBehaviour(outcome, after, message), image=image)

    def deployment(self, name: str = "web") -> Object:
        return self.store.get(DEPLOYMENTS, "default", name)

    def job(self, name: str = "migrate") -> Object:
        return self.store.get(JOBS, "default", name)

    def patch(self, patch: Object, seconds: float = 0) -> Object:
        written = self.resources.update(DEPLOYMENTS, patched(STRATEGIC, self.deployment(), patch))
        self.advance(seconds)
        return written

    def set_image(self, image: str, seconds: float = 0) -> Object:
        containers = [{"name": "web", "image": image}]
        return self.patch({"spec": {"template": {"spec": {"containers": containers}}}}, seconds)

    def pods(self) -> list[Object]:
        return self.store.all(PODS, "default")

    def pod(self, image: str) -> Object:
        return next(p for p in self.pods() if p["spec"]["containers"][0]["image"] == image)

    def container(self, image: str) -> Object:
        found: Object = self.pod(image)["status"]["containerStatuses"][0]
        return found

    def condition(self, kind: str) -> Object:
        found = condition(self.deployment()["status"], kind)
        assert found is not None, f"the Deployment has no condition {kind}"
        return found

    def revisions(self) -> dict[int, int]:
        """Revision number to wanted pods."""
        sets = self.store.all(REPLICA_SETS, "default")
        return {revision_of(rs): rs["spec"]["replicas"] for rs in sets}
