"""What the sandbox's pods and services are told to do, and how its servers see images.

Rules are matched with shell patterns; the newest rule that matches wins. Where no rule matches,
everything goes well. A canary is told what its service is told: an order for `api` is for
`api-canary` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Generic, Literal, Protocol, TypeVar

Outcome = Literal[
    "ready", "never_ready", "crash", "image_pull", "unschedulable", "config_error", "oom"
]

OUTCOMES: tuple[Outcome, ...] = (
    "ready",
    "never_ready",
    "crash",
    "image_pull",
    "unschedulable",
    "config_error",
    "oom",
)

MESSAGES: Mapping[str, str] = {
    "ready": "",
    "never_ready": "Readiness probe failed: HTTP probe failed with statuscode: 503",
    "crash": "panic: cannot connect to the database: connection refused",
    "image_pull": "failed to pull and unpack image: unexpected status from HEAD request: "
    "403 Forbidden",
    "unschedulable": "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are "
    "available: 3 No preemption victims found for incoming pod.",
    "config_error": 'secret "database-credentials" not found',
    "oom": "the container used more memory than its limit",
}
"""What a kubelet or scheduler says in each case, when the order brings no words of its own."""


CANARY = "-canary"
"""Ends the name of the second Deployment of a service."""


def service_of(workload: str) -> str:
    """The workload whose service the pods of `workload` answer for: a canary's, the stable one."""
    return workload.removesuffix(CANARY)


@dataclass(frozen=True, slots=True)
class PodBehaviour:
    """How a new pod fares. `ready_after` is in seconds from its creation."""

    outcome: Outcome = "ready"
    ready_after: float = 1.0
    message: str = ""

    @property
    def words(self) -> str:
        """The message of the waiting state or condition: the order's own, or the usual one."""
        return self.message or MESSAGES[self.outcome]


@dataclass(frozen=True, slots=True)
class ServiceBehaviour:
    """How a running service answers HTTP.

    `failure_rate` is the share of requests (0 to 1) answered with `status`; `delay` is in seconds;
    a service that is `down` closes the connection without an answer. `cpu` and `memory` are what
    its containers use, as shares of their limits.
    """

    failure_rate: float = 0.0
    status: int = 503
    delay: float = 0.0
    down: bool = False
    requests_per_second: float = 400.0
    """Simulated traffic of the service beside the requests that really came, spread over its pods
    as those are. Enough for a limit of 0.1 % to be judged within 10 s."""
    cpu: float = 0.2
    memory: float = 0.4


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One order: a behaviour for whatever matches the three patterns."""

    behaviour: T
    namespace: str = "*"
    workload: str = "*"
    image: str = "*"

    def matches(self, namespace: str, workload: str, image: str) -> bool:
        return (
            fnmatchcase(namespace, self.namespace)
            and (
                fnmatchcase(workload, self.workload)
                or fnmatchcase(service_of(workload), self.workload)
            )
            and fnmatchcase(image, self.image)
        )


@dataclass(slots=True)
class Behaviours:
    """All orders to pods and services of one sandbox."""

    default_pod: PodBehaviour = field(default_factory=PodBehaviour)
    default_service: ServiceBehaviour = field(default_factory=ServiceBehaviour)
    version: int = 0
    """Counts the orders: another one means that another answer may be right."""
    _pods: list[Rule[PodBehaviour]] = field(default_factory=list)
    _services: list[Rule[ServiceBehaviour]] = field(default_factory=list)

    def pod(self, namespace: str, workload: str, image: str) -> PodBehaviour:
        """How a pod of `workload` that runs `image` (a full reference) fares."""
        return _newest(self._pods, namespace, workload, image) or self.default_pod

    def set_pod(
        self,
        behaviour: PodBehaviour,
        *,
        namespace: str = "*",
        workload: str = "*",
        image: str = "*",
    ) -> None:
        """Tell the pods that match how to fare; replaces an earlier order for the same patterns."""
        self.version += 1
        _replace(self._pods, Rule(behaviour, namespace, workload, image))

    def service(self, namespace: str, workload: str, image: str) -> ServiceBehaviour:
        """How the service of `workload` answers while it runs `image` (a full reference)."""
        return _newest(self._services, namespace, workload, image) or self.default_service

    def set_service(
        self,
        behaviour: ServiceBehaviour,
        *,
        namespace: str = "*",
        workload: str = "*",
        image: str = "*",
    ) -> None:
        """Tell the services that match how to answer."""
        self.version += 1
        _replace(self._services, Rule(behaviour, namespace, workload, image))

    @property
    def pod_rules(self) -> tuple[Rule[PodBehaviour], ...]:
        return tuple(self._pods)

    @property
    def service_rules(self) -> tuple[Rule[ServiceBehaviour], ...]:
        return tuple(self._services)

    def forget(self, workload: str = "*") -> int:
        """Take back the orders given for `workload` (the pattern as ordered); `*` means all.

        How many there were.
        """
        before = len(self._pods) + len(self._services)
        self.version += 1
        self._pods = [r for r in self._pods if workload not in ("*", r.workload)]
        self._services = [r for r in self._services if workload not in ("*", r.workload)]
        return before - len(self._pods) - len(self._services)


def _newest(rules: Sequence[Rule[T]], namespace: str, workload: str, image: str) -> T | None:
    for rule in reversed(rules):
        if rule.matches(namespace, workload, image):
            return rule.behaviour
    return None


def _replace(rules: list[Rule[T]], new: Rule[T]) -> None:
    patterns = (new.namespace, new.workload, new.image)
    rules[:] = [r for r in rules if (r.namespace, r.workload, r.image) != patterns]
    rules.append(new)


class Images(Protocol):
    """The registry as the other servers see it."""

    def resolve(self, reference: str) -> str | None:
        """Digest of `host:port/group/project/image:tag` or `…@sha256:…`; None if unknown."""

    def push(self, repository: str, *, tags: Sequence[str], labels: Mapping[str, str]) -> str:
        """Make a small real image (config and manifest), tag it, and return its digest."""
