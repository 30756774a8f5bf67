"""Counters of the requests that the sandbox's services answered, real and simulated, over time."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

KEPT_SAMPLES = 240
SAMPLE_EVERY = 5.0
"""Seconds between samples."""
KEPT_FOR = KEPT_SAMPLES * SAMPLE_EVERY
"""Seconds that queries can look back: 20 minutes."""

REQUESTS = "http_requests_total"
UP = "up"

Key = tuple[str, str, str, str, str]
"""Metric, namespace, workload, pod, status code (empty for `up`)."""


@dataclass(frozen=True, slots=True)
class Load:
    """One pod's state as traffic sees it. `rate` is requests per second of simulated traffic."""

    namespace: str
    workload: str
    pod: str
    up: bool
    rate: float
    failure_rate: float
    status: int


@dataclass(slots=True)
class Series:
    """One time series: samples of (unix seconds, value), oldest first; `live` while its pod is."""

    name: str
    labels: Mapping[str, str]
    samples: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))
    live: bool = True

    @property
    def last(self) -> float:
        return self.samples[-1][1]

    def append(self, now: float, value: float) -> None:
        """Looks within a second are one sample, so that many of them do not shorten the memory."""
        if len(self.samples) > 1 and now - self.samples[-2][0] < 1.0:
            self.samples.pop()
        self.samples.append((now, value))


@dataclass(slots=True)
class Traffic:
    """`loads` tells, on each sample, which pods there are and how they fare."""

    loads: Callable[[], Iterable[Load]] = tuple
    clock: Callable[[], float] = time.time
    _totals: dict[Key, float] = field(default_factory=dict)
    _series: dict[Key, Series] = field(default_factory=dict)
    _turns: Counter[tuple[str, str]] = field(default_factory=Counter)
    _owed: dict[str, float] = field(default_factory=dict)
    _sampled_at: float | None = None

    def turn(self, namespace: str, workload: str) -> int:
        """A number that grows with each request, for taking turns between pods."""
        self._turns[namespace, workload] += 1
        return self._turns[namespace, workload]

    def fails(self, pod: str, rate: float) -> bool:
        """Whether the pod's next request fails: evenly spread, so that 0.25 is every fourth."""
        owed = self._owed.get(pod, 0.0) + rate
        fails = owed >= 1 - 1e-9
        self._owed[pod] = owed - 1 if fails else owed
        return fails

    def count(self, namespace: str, workload: str, pod: str, status: int) -> None:
        """One request that really came."""
        self._add((REQUESTS, namespace, workload, pod, str(status)), 1)

    def advance(self) -> None:
        """Add the simulated traffic since the last call, and sample everything."""
        now = self.clock()
        passed = 0.0 if self._sampled_at is None else max(now - self._sampled_at, 0.0)
        self._sampled_at = now
        loads = list(self.loads())
        for load in loads:
            self._simulate(load, passed)
        self._sample(now, {load.pod for load in loads})

    def series(self) -> Iterator[Series]:
        """All that is remembered, those of pods that are gone (`live` false) included."""
        return iter(self._series.values())

    def _simulate(self, load: Load, seconds: float) -> None:
        place = (load.namespace, load.workload, load.pod)
        self._totals[(UP, *place, "")] = float(load.up)
        requests = load.rate * seconds if load.up else 0.0
        failed = requests * load.failure_rate
        self._add((REQUESTS, *place, "200"), requests - failed)
        if failed:
            self._add((REQUESTS, *place, str(load.status)), failed)

    def _add(self, key: Key, amount: float) -> None:
        self._totals[key] = self._totals.get(key, 0.0) + amount

    def _sample(self, now: float, pods: set[str]) -> None:
        for key, value in list(self._totals.items()):
            if key[3] in pods:
                self._series.setdefault(key, Series(key[0], _labels(key))).append(now, value)
            else:
                self._retire(key)
        self._series = {k: s for k, s in self._series.items() if now - s.samples[-1][0] < KEPT_FOR}

    def _retire(self, key: Key) -> None:
        """The pod is gone: its counters end; what they were stays for a while, as in Prometheus."""
        del self._totals[key]
        self._owed.pop(key[3], None)
        if key in self._series:
            self._series[key].live = False


def _labels(key: Key) -> dict[str, str]:
    _, namespace, workload, pod, code = key
    labels = {"namespace": namespace, "service": workload, "pod": pod, "job": "sandbox-services"}
    return {**labels, "code": code} if code else labels
