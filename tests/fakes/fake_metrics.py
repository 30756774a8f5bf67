"""A metrics server in memory: pods whose figures are told, asked by the platform's own queries.

It is one environment's server and the door to it. It takes the names of metrics from the default
`MetricsRule`, and understands of a query what tells the platform's own queries apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from flowmaster_delivery.model.analysis import Sample
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import DeliveryError

PODS = re.compile(r'pod=~"((?:[^"\\]|\\.)*)"')
SUFFIX = "[a-z0-9]+"
CONTAINER = "app"


@dataclass(frozen=True)
class Told:
    """Figures of one pod. Without requests there is no traffic, without a share no such series."""

    requests: float = 0.0
    error_rate: float = 0.0
    p95: float | None = None
    cpu: float | None = None
    memory: float | None = None
    limited: bool = True
    """Whether its container has limits."""


@dataclass
class FakeMetrics:
    """`pods` names the pods that there are, for queries that name none; tests with a FakeCluster
    hand its pods in."""

    pods: Callable[[], Iterable[str]] = tuple
    answers: dict[str, tuple[Sample, ...] | DeliveryError] = field(default_factory=dict)
    """What single expressions come to, whatever was told of pods."""
    fails: DeliveryError | None = None
    """What every query raises, until it is None again."""
    failing: list[DeliveryError] = field(default_factory=list)
    """What the next queries raise, one each."""
    asked: list[str] = field(default_factory=list)
    _told: dict[str, Told] = field(default_factory=dict)

    # What tests say

    def tell(self, pods: str, **figures: float | bool | None) -> None:
        """Figures of a pod by its name, or of all whose names begin with what ends in `-`
        (`api-canary-`); the longest that fits counts. Told again, what is not named stays."""
        self._told[pods] = replace(self._told.get(pods, Told()), **figures)  # type: ignore[arg-type]

    # The port

    def __call__(self, environment: Environment) -> FakeMetrics:
        environment.measured_by()
        return self

    def query(self, expression: str, at: datetime) -> tuple[Sample, ...]:
        self.asked.append(expression)
        error = self.failing.pop(0) if self.failing else self.fails
        known = error or self.answers.get(expression)
        if isinstance(known, DeliveryError):
            raise known
        if known is not None:
            return known
        return tuple(s for pod in self._pods(expression) for s in self._of(pod, expression))

    def _of(self, pod: str, expression: str) -> Iterator[Sample]:
        fits = [name for name in self._told if pod == name or _begins(name, pod)]
        if fits:
            yield from _samples({"pod": pod}, self._told[max(fits, key=len)], expression)

    def _pods(self, expression: str) -> Iterable[str]:
        """Those that a query names; one stands for all of a pod template."""
        asked = PODS.search(expression)
        if asked is None:
            named = (name for name in self._told if not name.endswith("-"))
            return sorted({*self.pods(), *named})
        names = asked[1].replace("\\\\", "\\").split("|")
        return [re.sub(r"\\(.)", r"\1", name.replace(SUFFIX, "told1")) for name in names]


def _begins(name: str, pod: str) -> bool:
    return name.endswith("-") and pod.startswith(name)


def _samples(pod: Mapping[str, str], told: Told, expression: str) -> Iterator[Sample]:
    inside = {**pod, "container": CONTAINER}
    if "_bucket" in expression:
        yield from _buckets(pod, told)
    elif "http_requests_total" in expression:
        failed = told.requests * told.error_rate
        of_failures = '"5.."' in expression
        if told.requests and not (of_failures and not failed):
            yield Sample(pod, failed if of_failures else told.requests)
    elif "resource_limits" in expression and told.limited:
        yield Sample(inside, 1.0)
    elif "cpu_usage" in expression and told.cpu is not None:
        yield Sample(inside, told.cpu)
    elif "memory_working_set" in expression and told.memory is not None:
        yield Sample(inside, told.memory)


def _buckets(pod: Mapping[str, str], told: Told) -> Iterator[Sample]:
    """A histogram whose 0.95 quantile is exactly what was told."""
    if told.p95 is not None and told.requests:
        counts = {f"{told.p95!r}": 0.95, f"{2 * told.p95!r}": 1.0, "+Inf": 1.0}
        for bound, share in counts.items():
            yield Sample({**pod, "le": bound}, told.requests * share)
