"""A cluster in memory whose rollouts take one step per wait, with a clock that only it moves.

It can be told to fail a call, and to be where a process was killed: at the n-th call, before or
after its effect. A killed process makes no further calls until `revive`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import DeliveryError, NotFound, Refused, Superseded
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.rollout import Condition, Pod, PodProblem, Workload
from flowmaster_delivery.ports import Lease

T = TypeVar("T")
STEP = 0.1
"""Seconds that pass at least in each wait."""
STAGES: Sequence[tuple[int, int, int]] = ((0, 1, 1), (1, 2, 1), (1, 1, 1))
"""Updated, total and available replicas, one after the other, of a rollout of one replica."""


class Killed(BaseException):
    """The process is gone; no handler of ours sees this."""


@dataclass
class FakeTime:
    seconds: float = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.seconds)


@dataclass
class _Held:
    holder: str
    token: int
    until: float


@dataclass
class FakeCluster:
    time: FakeTime = field(default_factory=FakeTime)
    deployments: dict[str, Workload] = field(default_factory=dict)
    problems: dict[str, PodProblem] = field(default_factory=dict)
    """Image reference to what keeps its pods from being ready."""
    answers: dict[str, ProbeResult | DeliveryError] = field(default_factory=dict)
    """Service to what its pods answer; 200 for the others."""
    jobs: dict[str, tuple[bool, str]] = field(default_factory=dict)
    failing: dict[str, list[DeliveryError]] = field(default_factory=dict)
    """Name of a call to the errors that its next uses raise."""
    on_call: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Name of a call to what somebody else does just before its next use."""
    calls: list[str] = field(default_factory=list)
    kill_at: int | None = None
    kill_after_effect: bool = False
    leases: dict[str, _Held] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    stuck: bool = False
    """Whether rollouts stay before their last stage."""
    _stage: dict[str, int] = field(default_factory=dict)
    _dead: bool = False

    # What tests say

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

    def revive(self) -> None:
        self.kill_at, self._dead = None, False

    # The port

    def workload(self, service: Service) -> Workload:
        return self._call("workload", lambda: self._find(service))

    def workloads(self) -> Mapping[str, Workload]:
        return self._call("workloads", lambda: dict(self.deployments))

    def pods(self, service: Service, template_hash: str | None = None) -> tuple[Pod, ...]:
        return self._call("pods", lambda: self._pods_of(service.workload_name))

    def all_pods(self) -> Mapping[str, tuple[Pod, ...]]:
        return self._call("all_pods", lambda: {n: self._pods_of(n) for n in self.deployments})

    def set_image(
        self,
        service: Service,
        reference: str,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        def patch() -> Workload:
            before = self._at(service, resource_version)
            self._stage[before.name] = -1
            return self._put(
                before,
                images={**before.images, service.container_name: reference},
                annotations=_merged(before.annotations, annotations),
                generation=before.generation + 1,
                template_hash=None,
            )

        return self._call("set_image", patch)

    def annotate(
        self, service: Service, *, resource_version: str, annotations: Mapping[str, str | None]
    ) -> Workload:
        def patch() -> Workload:
            before = self._at(service, resource_version)
            return self._put(before, annotations=_merged(before.annotations, annotations))

        return self._call("annotate", patch)

    def wait_for_change(self, service: Service, seen: str, timeout: float) -> None:
        def wait() -> None:
            moved = self._advance(service.workload_name)
            self.time.seconds += STEP if moved else max(STEP, timeout)

        self._call("wait_for_change", wait)

    def pod_answers(self, service: Service, pod: Pod, timeout: float) -> ProbeResult:
        found = self.answers.get(service.name, ProbeResult(f"pod://{pod.name}", 200, 0.01))
        if isinstance(found, DeliveryError):
            raise found
        return found

    def run_job(
        self, service: Service, reference: str, name: str, timeout: float
    ) -> tuple[bool, str]:
        return self._call("run_job", lambda: self.jobs.setdefault(name, (True, "")))

    def apply(self, manifests: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        def write() -> tuple[str, ...]:
            new = [str(m["kind"]) for m in manifests if str(m["kind"]) not in self.applied]
            self.applied += new
            return tuple(new)

        return self._call("apply", write)

    def acquire(self, service: str, holder: str, *, preempt: bool, ttl: float) -> Lease:
        def take() -> Lease:
            held = self.leases.get(service)
            alive = held is not None and self.time.seconds < held.until
            if held and alive and held.holder not in ("", holder) and not preempt:
                raise Refused(f"{service} is being changed by {held.holder}")
            token = held.token + 1 if held else 1
            self.leases[service] = _Held(holder, token, self.time.seconds + ttl)
            return Lease(service, holder, token)

        return self._call("acquire", take)

    def renew(self, lease: Lease, ttl: float) -> None:
        def write() -> None:
            self._own(lease).until = self.time.seconds + ttl

        self._call("renew", write)

    def release(self, lease: Lease) -> None:
        def write() -> None:
            self._own(lease).holder = ""

        self._call("release", write)

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        if self._dead:
            raise Killed
        number = len(self.calls)
        self.calls.append(name)
        self._dead = number == self.kill_at
        if self._dead and not self.kill_after_effect:
            raise Killed
        if name in self.on_call:
            self.on_call.pop(name)()
        if self.failing.get(name):
            raise self.failing[name].pop(0)
        result = effect()
        if self._dead:
            raise Killed
        return result

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

    def _advance(self, name: str) -> bool:
        """The controllers go one stage on."""
        stage = self._stage.get(name)
        if stage is None:
            return False
        now = self.deployments[name]
        reference = next(iter(now.images.values()))
        last = len(STAGES) - (2 if reference in self.problems or self.stuck else 1)
        if stage >= last:
            return False
        stage = self._stage[name] = stage + 1
        updated, total, available = STAGES[stage]
        self._put(
            now,
            updated=updated,
            total=total,
            available=available,
            observed_generation=now.generation,
            revision=now.revision + (stage == 0),
            template_hash=_hash(reference),
        )
        return True

    def _pods_of(self, name: str) -> tuple[Pod, ...]:
        now = self.deployments[name]
        reference = next(iter(now.images.values()))
        trouble = self.problems.get(reference)
        digest = reference.rpartition("@")[2]
        ready = now.updated == now.available == now.total and trouble is None
        fresh = Pod(
            f"{name}-new",
            "10.0.0.1",
            ready,
            _hash(reference),
            digest,
            (trouble,) if trouble else (),
        )
        old = Pod(f"{name}-old", "10.0.0.2", True, "old", "sha256:old")
        return (fresh,) if now.total == now.updated else (fresh, old)[-now.total :]

    def _own(self, lease: Lease) -> _Held:
        held = self.leases[lease.service]
        if held.token != lease.token:
            raise Superseded(f"{held.holder} has taken over {lease.service}")
        return held


def _hash(reference: str) -> str:
    return f"hash-{reference[-8:]}"


def _next(workload: Workload) -> str:
    return str(int(workload.resource_version) + 1)


def _merged(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**before, **changes}
    return {key: value for key, value in merged.items() if value is not None}
