"""The figures of the sandbox's services over time: requests, real and simulated, and resources."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from flowmaster_delivery.sandbox.figures import (
    LATENCIES,
    UP,
    Column,
    Load,
    exposition,
    gauges,
    growths,
    labels_of,
    observed,
)
from flowmaster_delivery.sandbox.series import KEPT_FOR, Series

SAMPLE_EVERY = 1.0
"""Seconds between samples."""
EARLY = 0.9
"""A sample may be taken that much of the interval after the last one: timers are not exact."""

Pod = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Meter:
    """One pod's series. `load` tells whose they are, `followed` under what they grow."""

    load: Load
    followed: Load | None = None
    series: dict[Column, Series] = field(default_factory=dict)
    owed: float = 0.0
    answered: int = 0

    def follow(self, load: Load, now: float) -> None:
        """Grow as the load says from now on; what it does not speak of stands still."""
        self.followed = load
        growing = dict(growths(load))
        for column, per_second in growing.items():
            self.one(column, now).grow(now, per_second)
        for column, value in gauges(load):
            self.one(column, now).put(now, value)
        for column, series in self.series.items():
            if column not in growing:
                series.grow(now, 0.0)

    def one(self, column: Column, now: float) -> Series:
        found = self.series.get(column)
        if found is None:
            found = Series(column[0], labels_of(self.load, column), now)
            self.series[column] = found
        return found

    def end(self, now: float) -> None:
        """The pod is gone: its series end; what they were stays for a while."""
        self.followed = None
        self.one((UP, ""), now).put(now, 0.0)
        for series in self.series.values():
            series.grow(now, 0.0)
            series.ended = now

    def revive(self) -> None:
        """The pod's process runs again, and its figures go on where they ended."""
        for series in self.series.values():
            series.ended = None


@dataclass(slots=True)
class Traffic:
    """`loads` tells, on each sample, which pods there are and how they fare; the same object again
    says that nothing has changed. `every` is in seconds."""

    loads: Callable[[], Sequence[Load]] = tuple
    clock: Callable[[], float] = time.time
    every: float = SAMPLE_EVERY
    ticks: array[float] = field(default_factory=lambda: array("d"))
    """When samples were taken: unix seconds, oldest first."""
    _meters: dict[Pod, Meter] = field(default_factory=dict)
    _gone: dict[Pod, tuple[float, Meter]] = field(default_factory=dict)
    _seen: Sequence[Load] | None = None
    _index: dict[tuple[str, str], dict[str, list[Series]]] = field(default_factory=dict)
    """Series by name and label, and by that label's value; empty once others have come."""

    def fails(self, namespace: str, service: str, pod: str, rate: float) -> bool:
        """Whether the pod's next request fails: evenly spread, so that 0.25 is every fourth."""
        meter = self._meter(namespace, service, pod)
        meter.owed += rate
        fails = meter.owed >= 1 - 1e-9
        meter.owed -= fails
        return fails

    def count(
        self, namespace: str, service: str, pod: str, status: int, delay: float = 0.0
    ) -> None:
        """One request that really came; the answer took `delay` seconds longer than usual."""
        meter, now = self._meter(namespace, service, pod), self.clock()
        seconds = LATENCIES[meter.answered % len(LATENCIES)] + delay
        meter.answered += 1
        sampled = self.ticks[-1] if self.ticks else 0.0
        before = len(meter.series)
        for column, amount in observed(status, seconds):
            meter.one(column, now).jump(now, amount, sampled)
        if len(meter.series) != before:
            self._index = {}

    def advance(self) -> None:
        """Take a sample if it is time for one."""
        now = self.clock()
        if self.ticks and now - self.ticks[-1] < self.every * EARLY:
            return
        self.ticks.append(now)
        if self.ticks[0] < now - 2 * KEPT_FOR:
            self.ticks = array("d", (tick for tick in self.ticks if tick > now - KEPT_FOR))
        loads = self.loads()
        if loads is not self._seen:
            self._seen = loads
            self._follow(loads, now)
        for key in [key for key, (ended, _) in self._gone.items() if ended < now - KEPT_FOR]:
            del self._gone[key]
            self._index = {}

    def named(self, name: str, label: str = "", value: str = "") -> Sequence[Series]:
        """All series of that name that are remembered, those of pods that are gone included.

        With a label, those that have that value of it.
        """
        found = self._index.get((name, label))
        if found is None:
            found = self._indexed(name, label)
            self._index[name, label] = found
        return found.get(value, ())

    def _indexed(self, name: str, label: str) -> dict[str, list[Series]]:
        index: dict[str, list[Series]] = {}
        for series in self.named(name) if label else self.series():
            if series.name == name:
                index.setdefault(series.labels.get(label, ""), []).append(series)
        return index

    def series(self) -> Iterator[Series]:
        """All that is remembered."""
        for meter in (*self._meters.values(), *(meter for _, meter in self._gone.values())):
            yield from meter.series.values()

    def exposition(self, wanted: Mapping[str, str]) -> str:
        """The figures of now, as a scrape sees them. `wanted` may narrow namespace and service."""
        now = self.clock()
        return exposition(
            (series.name, series.labels, series.at(now))
            for meter in self._meters.values()
            if wanted.get("namespace", meter.load.namespace) == meter.load.namespace
            and wanted.get("service", meter.load.service) == meter.load.service
            for series in meter.series.values()
        )

    def _meter(self, namespace: str, service: str, pod: str) -> Meter:
        """The pod's meter; one that answers before its first sample gets it now."""
        found = self._meters.get((namespace, pod))
        if found is None:
            found = self._begin(Load(namespace, service, pod, True, 0.0, 0.0, 0))
        return found

    def _begin(self, load: Load) -> Meter:
        key = (load.namespace, load.pod)
        _, meter = self._gone.pop(key, (0.0, Meter(load)))
        meter.revive()
        self._meters[key] = meter
        self._index = {}
        return meter

    def _follow(self, loads: Iterable[Load], now: float) -> None:
        known = {(load.namespace, load.pod): load for load in loads}
        for key, load in known.items():
            meter = self._meters.get(key) or self._begin(load)
            if meter.followed != load:
                meter.follow(load, now)
                self._index = {}
        for key in [key for key in self._meters if key not in known]:
            meter = self._meters.pop(key)
            meter.end(now)
            self._gone[key] = (now, meter)
