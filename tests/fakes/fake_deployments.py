"""Deployments in memory, whose controllers go one stage on when they are told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import NotFound, Refused, Superseded
from flowmaster_delivery.model.rollout import Condition, Pod, PodProblem, Workload

Stage = tuple[int, int, int]
"""Updated, total and available replicas."""


@dataclass
class FakeDeployments:
    deployments: dict[str, Workload] = field(default_factory=dict)
    problems: dict[str, PodProblem] = field(default_factory=dict)
    """Image reference to what keeps its pods from being ready."""
    stuck: bool = False
    """Whether rollouts stay before their last stage."""
    lingering: int = 0
    """Pods of before that do not end, though they are asked to."""
    _ahead: dict[str, list[Stage]] = field(default_factory=dict)
    _made: int = 0

    def deploy(self, service: Service, reference: str, **changes: object) -> Workload:
        made = Workload(
            name=service.workload_name,
            namespace="test",
            uid=f"uid-{service.name}",
            resource_version="1",
            generation=1,
            observed_generation=1,
            revision=1,
            paused=False,
            desired=1,
            updated=1,
            total=1,
            available=1,
            images={service.container_name: reference, "proxy": "proxy@sha256:0"},
            annotations={},
            template_hash=_hash(reference),
            progressing=Condition("True", "NewReplicaSetAvailable", "done", "t1"),
        )
        made = replace(made, **changes)  # type: ignore[arg-type]
        self.deployments[service.workload_name] = made
        return made

    def edit(self, name: str, **changes: object) -> None:
        """Somebody else writes to a Deployment."""
        before = self.deployments[name]
        self.deployments[name] = replace(before, **changes, resource_version=_next(before))  # type: ignore[arg-type]

    def _find(self, service: Service) -> Workload:
        if service.workload_name not in self.deployments:
            raise NotFound(f"there is no Deployment {service.workload_name}")
        return self.deployments[service.workload_name]

    def _at(self, service: Service, version: str) -> Workload:
        found = self._find(service)
        if found.resource_version != version:
            raise Superseded(f"{found.name} changed after version {version}")
        return found

    def _put(self, before: Workload, **changes: object) -> Workload:
        made = replace(before, **changes, resource_version=_next(before))  # type: ignore[arg-type]
        self.deployments[before.name] = made
        return made

    def _ours(self, found: Workload) -> Workload:
        if not found.name.endswith("-canary"):
            raise Refused(f"Deployment {found.name} is no canary of this platform")
        return found

    def _change_image(
        self,
        before: Workload,
        container: str,
        reference: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        pods = before.desired
        self._ahead[before.name] = [(0, pods, pods), (1, pods + 1, pods), (pods, pods, pods)]
        return self._put(
            before,
            images={**before.images, container: reference},
            annotations=merged(before.annotations, annotations),
            generation=before.generation + 1,
            template_hash=None,
        )

    def _add_canary(
        self,
        service: Service,
        reference: str,
        pods: int,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        stable, name = self._find(service), service.canary.workload_name
        if name in self.deployments:
            raise Superseded(f"Deployment {name} exists already")
        self._made += 1
        self.deployments[name] = replace(
            stable,
            name=name,
            uid=f"uid-{name}-{self._made}",
            resource_version="1",
            generation=1,
            observed_generation=0,
            revision=0,
            desired=pods,
            updated=0,
            total=0,
            available=0,
            images={**stable.images, service.container_name: reference},
            annotations=merged({}, annotations),
            template_hash=None,
            progressing=None,
        )
        self._ahead[name] = [(0, 0, 0), (pods, pods, 0), (pods, pods, pods)]
        return self.deployments[name]

    def _resize(
        self, before: Workload, replicas: int, annotations: Mapping[str, str | None]
    ) -> Workload:
        noted = merged(before.annotations, annotations)
        if replicas == before.desired:
            return self._put(before, annotations=noted)
        ready = min(before.available, replicas)
        self._ahead[before.name] = [
            (replicas, replicas, ready),
            (replicas, replicas, replicas),
        ]
        return self._put(
            before, annotations=noted, desired=replicas, generation=before.generation + 1
        )

    def _drop(self, name: str, uid: str) -> None:
        found = self.deployments.get(name)
        if found is None:
            return
        if self._ours(found).uid != uid:
            raise Superseded(f"{name} is another one than was to be removed")
        del self.deployments[name]
        self._ahead.pop(name, None)

    def _advance(self, name: str) -> bool:
        """The controllers go one stage on."""
        ahead = self._ahead.get(name, [])
        now = self.deployments.get(name)
        if now is None:
            return False
        reference = next(iter(now.images.values()))
        if len(ahead) <= (1 if reference in self.problems or self.stuck else 0):
            return False
        updated, total, available = ahead.pop(0)
        fresh = now.template_hash is None
        self._put(
            now,
            updated=updated,
            total=total,
            available=available,
            observed_generation=now.generation,
            revision=now.revision + fresh,
            template_hash=_hash(reference),
        )
        return True

    def _pods_of(self, name: str) -> tuple[Pod, ...]:
        now = self.deployments.get(name)
        if now is None:
            return ()
        reference = next(iter(now.images.values()))
        trouble = self.problems.get(reference)
        old = now.total - now.updated
        fresh = [
            Pod(
                f"{name}-new" if number == 0 else f"{name}-new-{number}",
                f"10.0.0.{number + 1}",
                trouble is None and number < now.available - old,
                _hash(reference),
                reference.rpartition("@")[2],
                (trouble,) if trouble else (),
            )
            for number in range(now.updated)
        ]
        gone = [
            Pod(f"{name}-old-{number}", f"10.0.1.{number + 1}", True, "old", "sha256:old")
            for number in range(old)
        ]
        ending = [
            Pod(f"{name}-ending-{n}", None, False, "old", "sha256:old", terminating=True)
            for n in range(self.lingering)
        ]
        return (*fresh, *gone, *ending)


def _hash(reference: str) -> str:
    return f"hash-{reference[-8:]}"


def _next(workload: Workload) -> str:
    return str(int(workload.resource_version) + 1)


def merged(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**before, **changes}
    return {key: value for key, value in merged.items() if value is not None}
