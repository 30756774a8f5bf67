"""What a process of the watch tells: its looks, and what it saw at the last of them."""

from __future__ import annotations

from collections import Counter as Counted

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flowmaster_delivery.flows.watch.vigil import Looked
from flowmaster_delivery.model.health import HealthState

BUCKETS = (0.5, 1, 2, 5, 10, 20, 60, 300)
SEEN, BLIND = "seen", "blind"


class WatchMetrics:
    """Told of every turn of a vigil. While standing by, nothing is told of services: another
    process sees them."""

    def __init__(self, registry: CollectorRegistry, environments: tuple[str, ...]) -> None:
        label = ["environment"]
        self._looking = Gauge(
            "flowmaster_watch_looking",
            "1 where this process looks, 0 where it stands by.",
            label,
            registry=registry,
        )
        self._last = Gauge(
            "flowmaster_watch_last_success_timestamp_seconds",
            "When the last look that saw the environment ended; 0 where there was none.",
            label,
            registry=registry,
        )
        self._looks = Counter(
            "flowmaster_watch_looks", "Looks.", [*label, "outcome"], registry=registry
        )
        self._took = Histogram(
            "flowmaster_watch_look_duration_seconds",
            "How long looks take.",
            label,
            registry=registry,
            buckets=BUCKETS,
        )
        self._services = Gauge(
            "flowmaster_services",
            "Services in each state at the last look.",
            [*label, "state"],
            registry=registry,
        )
        for name in environments:
            self._looking.labels(name).set(0)
            self._last.labels(name).set(0)
            for outcome in (SEEN, BLIND):
                self._looks.labels(name, outcome)

    def told(self, looked: Looked) -> None:
        name = looked.environment
        self._looking.labels(name).set(float(looked.looking))
        if not looked.looking:
            self._forget(name)
            return
        self._looks.labels(name, BLIND if looked.trouble else SEEN).inc()
        self._took.labels(name).observe((looked.ended - looked.began).total_seconds())
        if not looked.trouble:
            self._last.labels(name).set(looked.ended.timestamp())
        self._count(name, looked)

    def _count(self, name: str, looked: Looked) -> None:
        count = Counted(looked.states.values())
        for state in HealthState:
            self._services.labels(name, state).set(count[state])

    def _forget(self, name: str) -> None:
        for state in HealthState:
            self._services.remove(name, state)
