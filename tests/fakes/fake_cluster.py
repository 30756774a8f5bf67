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
Stage = tuple[int, int, int]
"""Updated, total and available replicas."""


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
    """Workload or service to what its pods answer, the workload's first; 200 for the others."""
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
    weights: dict[str, int] = field(default_factory=dict)
    """Workloads that a route leads to, with the percent that their canary gets."""
    commands: dict[str, Sequence[str]] = field(default_factory=dict)
    """Name of a job to the command that it was run with."""
    _ahead: dict[str, list[Stage]] = field(default_factory=dict)
    _made: int = 0
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

    def call(self, name: str, effect: Callable[[], T]) -> T:
        """A step of the process that is none of the cluster's: it may be killed there, too."""
        return self._call(name, effect)

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
            pods = before.desired
            self._ahead[before.name] = [(0, pods, pods), (1, pods + 1, pods), (pods, pods, pods)]
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
        usual = self.answers.get(service.name, ProbeResult(f"pod://{pod.name}", 200, 0.01))
        found = self.answers.get(service.workload_name, usual)
        if isinstance(found, DeliveryError):
            raise found
        return found

    def run_job(
        self,
        service: Service,
        reference: str,
        name: str,
        timeout: float,
        command: Sequence[str] = (),
    ) -> tuple[bool, str]:
        def run() -> tuple[bool, str]:
            self.commands.setdefault(name, tuple(command))
            return self.jobs.setdefault(name, (True, ""))

        return self._call("run_job", run)

    def create_canary(
        self,
        service: Service,
        reference: str,
        *,
        pods: int,
        annotations: Mapping[str, str | None],
        weighted: bool = False,
    ) -> Workload:
        def create() -> Workload:
            stable, name = self._find(service), service.canary.workload_name
            if name in self.deployments:
                raise Superseded(f"Deployment {name} exists already")
            self._made += 1
            made = replace(
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
                annotations=_merged({}, annotations),
                template_hash=None,
                progressing=None,
            )
            self.deployments[name] = made
            self._ahead[name] = [(0, 0, 0), (pods, pods, 0), (pods, pods, pods)]
            return made

        return self._call("create_canary", create)

    def canaries(self) -> Mapping[str, Workload]:
        def read() -> Mapping[str, Workload]:
            return {
                name.removesuffix("-canary"): found
                for name, found in self.deployments.items()
                if name.endswith("-canary")
            }

        return self._call("canaries", read)

    def scale(
        self,
        service: Service,
        replicas: int,
        *,
        resource_version: str,
        annotations: Mapping[str, str | None],
    ) -> Workload:
        def patch() -> Workload:
            before = self._ours(self._at(service, resource_version))
            noted = _merged(before.annotations, annotations)
            if replicas == before.desired:
                return self._put(before, annotations=noted)
            ready = min(before.available, replicas)
            self._ahead[before.name] = [(replicas, replicas, ready), (replicas,) * 3]
            return self._put(
                before, annotations=noted, desired=replicas, generation=before.generation + 1
            )

        return self._call("scale", patch)

    def remove(self, service: Service, uid: str) -> None:
        def delete() -> None:
            found = self.deployments.get(service.workload_name)
            if found is None:
                return
            if self._ours(found).uid != uid:
                raise Superseded(f"{found.name} is another one than was to be removed")
            del self.deployments[found.name]
            self._ahead.pop(found.name, None)

        self._call("remove", delete)

    def weigh(self, service: Service, percent: int) -> str | None:
        def patch() -> str | None:
            name = service.workload_name
            if name not in self.weights:
                return None
            self.weights[name] = percent
            return f"{100 - percent} % to {name}, {percent} % to {name}-canary"

        return self._call("weigh", patch)

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

    def _ours(self, found: Workload) -> Workload:
        if not found.name.endswith("-canary"):
            raise Refused(f"Deployment {found.name} is no canary of this platform")
        return found

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
        return (*fresh, *gone)

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
