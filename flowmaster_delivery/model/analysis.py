"""Analysis: what was measured, what it may be at most, and what the one means for the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from flowmaster_delivery.model.outcome import Outcome

ENOUGH = 3
"""A limit on a rate needs at least this many requests over the limit to be told from chance
(design §9, "Health"): with 1 %, 300 requests."""


class Figure(StrEnum):
    """What is measured of the pods of a service. Shares are 0 to 1."""

    ERROR_RATE = "error_rate"
    """Share of requests answered with 5xx."""
    LATENCY_P95 = "latency_p95"
    """Seconds within which 95 % of the requests were answered."""
    CPU = "cpu"
    """Share of its limit that the container uses that uses most of it, sidecars included."""
    MEMORY = "memory"
    """The same of memory, as it is at the end of the window."""

    @property
    def counts_requests(self) -> bool:
        return self in (Figure.ERROR_RATE, Figure.LATENCY_P95)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure may be at most over a window: a share, seconds, or times the baseline."""

    figure: Figure
    at_most: float
    window: timedelta
    times_baseline: bool = False
    min_requests: int | None = None
    """Requests in the window that are needed; derived from the limit where None."""

    @property
    def needed_requests(self) -> int:
        """Fewer requests than this make a judgement inconclusive."""
        if self.min_requests is not None:
            return self.min_requests
        if self.figure is Figure.ERROR_RATE and self.at_most > 0:
            return ceil(round(ENOUGH / self.at_most, 6))
        return 20 if self.figure is Figure.LATENCY_P95 else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of what a metrics query answered; the value may be NaN."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure of a service's pods over a window that ended at `at`."""

    figure: Figure
    query: str
    """One expression that comes to the value at `at`, so that a person can ask it again."""
    window: timedelta
    at: datetime
    value: float | None = None
    """None where there is no data: no such series, no traffic, NaN."""
    requests: float | None = None
    """Requests in the window, where the figure counts them."""
    error: str = ""
    """Why it could not be made: the metrics server's trouble, never the service's."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a measurement means for its limit, with all that a person needs to judge again."""

    measurement: Measurement
    limit: Limit
    outcome: Outcome
    words: str
    threshold: float | None = None
    """What the limit came to: with a baseline, its multiple."""
    baseline: Measurement | None = None
    """What it was compared with, where it was."""


@dataclass(frozen=True, slots=True)
class MetricsRule:
    """Where an environment's figures come from, and what its metrics and labels are called.

    The defaults are those of Prometheus' client libraries, cAdvisor and kube-state-metrics.
    """

    url: str
    requests: str = "http_requests_total"
    """Counter with a label for the status code."""
    code: str = "code"
    duration: str = "http_request_duration_seconds"
    """Histogram; `_bucket` is added."""
    cpu: str = "container_cpu_usage_seconds_total"
    memory: str = "container_memory_working_set_bytes"
    limits: str = "kube_pod_container_resource_limits"
    labels: Mapping[str, str] = field(default_factory=dict)
    """More labels that every selector carries: `cluster: eu-1`."""
