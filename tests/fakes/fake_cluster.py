"""A cluster in memory whose rollouts take one step per wait, with a clock that only it moves.

It can be told to fail a call, and to be where a process was killed: at the n-th call, before or
after its effect. A killed process makes no further calls until `revive`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import DeliveryError, Refused, Superseded
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.rollout import Pod, Workload
from flowmaster_delivery.ports import Lease
from tests.fakes.fake_deployments import FakeDeployments, merged

T = TypeVar("T")
STEP = 0.1
"""Seconds that pass at least in each wait."""


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
class FakeCluster(FakeDeployments):
    time: FakeTime = field(default_factory=FakeTime)
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
    weights: dict[str, int] = field(default_factory=dict)
    """Workloads that a route leads to, with the percent that their canary gets."""
    commands: dict[str, Sequence[str]] = field(default_factory=dict)
    """Name of a job to the command that it was run with."""
    _dead: bool = False

    # What tests say

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
            return self._change_image(before, service.container_name, reference, annotations)

        return self._call("set_image", patch)

    def annotate(
        self, service: Service, *, resource_version: str, annotations: Mapping[str, str | None]
    ) -> Workload:
        def patch() -> Workload:
            before = self._at(service, resource_version)
            return self._put(before, annotations=merged(before.annotations, annotations))

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
        return self._call(
            "create_canary", lambda: self._add_canary(service, reference, pods, annotations)
        )

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
            return self._resize(before, replicas, annotations)

        return self._call("scale", patch)

    def remove(self, service: Service, uid: str) -> None:
        self._call("remove", lambda: self._drop(service.workload_name, uid))

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

    def _own(self, lease: Lease) -> _Held:
        held = self.leases.get(lease.service)
        if held is None:
            raise Superseded(f"the lease of {lease.service} was deleted; stopped")
        if held.token != lease.token:
            raise Superseded(f"{held.holder} has taken over {lease.service}")
        return held
