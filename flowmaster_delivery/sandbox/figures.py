"""What a pod's figures are: their names, their labels, and how they grow under a load."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

REQUESTS = "http_requests_total"
DURATION = "http_request_duration_seconds"
CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"
LIMITS = "kube_pod_container_resource_limits"
UP = "up"

TYPES: Mapping[str, tuple[str, str]] = {
    REQUESTS: ("counter", "Requests that a pod answered, real and simulated ones."),
    DURATION: ("histogram", "Seconds that the answers took."),
    CPU: ("counter", "Seconds of CPU that a container used."),
    MEMORY: ("gauge", "Bytes that a container holds in memory."),
    LIMITS: ("gauge", "Limits of a container: cpu in cores, memory in bytes."),
}
"""Family to its type and description, for the text format."""

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
"""Upper bounds of the histogram's buckets in seconds."""
LATENCIES = (
    *(0.012, 0.016, 0.019, 0.022, 0.024, 0.027, 0.029, 0.031, 0.034, 0.036),
    *(0.039, 0.042, 0.045, 0.048, 0.052, 0.057, 0.062, 0.070, 0.083, 0.095),
)
"""Seconds that a service usually takes, in turn: each stands for a twentieth of the requests."""

UNLIMITED_CORES, UNLIMITED_BYTES = 0.5, 512 * 2.0**20
"""What shares are of where a container has no limit."""

Column = tuple[str, str]
"""A figure of one pod: the series' name and its last label's value (`a/b` where it has two)."""
BUCKETS: tuple[Column, ...] = tuple(
    (f"{DURATION}_bucket", "+Inf" if math.isinf(bound) else f"{bound:g}") for bound in BOUNDS
)
SUM: Column = (f"{DURATION}_sum", "")
COUNT: Column = (f"{DURATION}_count", "")


@dataclass(frozen=True, slots=True)
class Use:
    """What one container uses: cores and bytes, and its limits, None where it has none."""

    container: str
    cores: float
    memory: float
    cpu_limit: float | None = None
    memory_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """One pod's state as traffic sees it. `rate` is requests per second of simulated traffic."""

    namespace: str
    service: str
    """The stable workload, for a canary's pods too."""
    pod: str
    up: bool
    rate: float
    failure_rate: float
    status: int
    delay: float = 0.0
    """Seconds that each answer takes longer than usual."""
    uses: tuple[Use, ...] = ()


def growths(load: Load) -> Iterator[tuple[Column, float]]:
    """Each counter of a pod with its growth per second."""
    rate = load.rate if load.up else 0.0
    failed = rate * load.failure_rate
    yield (REQUESTS, "200"), rate - failed
    if failed:
        yield (REQUESTS, str(load.status)), failed
    latencies = [latency + load.delay for latency in LATENCIES]
    for bucket, bound in zip(BUCKETS, BOUNDS, strict=True):
        share = sum(latency <= bound for latency in latencies) / len(latencies)
        yield bucket, rate * share
    yield SUM, rate * math.fsum(latencies) / len(latencies)
    yield COUNT, rate
    for use in load.uses:
        yield (CPU, use.container), use.cores


def gauges(load: Load) -> Iterator[tuple[Column, float]]:
    """Each gauge of a pod with its value."""
    yield (UP, ""), float(load.up)
    for use in load.uses:
        yield (MEMORY, use.container), use.memory
        if use.cpu_limit is not None:
            yield (LIMITS, f"{use.container}/cpu"), use.cpu_limit
        if use.memory_limit is not None:
            yield (LIMITS, f"{use.container}/memory"), use.memory_limit


def observed(status: int, seconds: float) -> Iterator[tuple[Column, float]]:
    """What one answer adds."""
    yield (REQUESTS, str(status)), 1.0
    for bucket in BUCKETS[bisect_left(BOUNDS, seconds) :]:
        yield bucket, 1.0
    yield SUM, seconds
    yield COUNT, 1.0


def labels_of(load: Load, column: Column) -> dict[str, str]:
    """`up` and all that a scrape brings have the job's name, as Prometheus puts it on."""
    name, last = column
    labels = {"namespace": load.namespace, "pod": load.pod, "job": "sandbox-services"}
    if name == LIMITS:
        container, _, resource = last.rpartition("/")
        return {**labels, "container": container, "resource": resource}
    if name in (CPU, MEMORY):
        return {**labels, "container": last}
    labels["service"] = load.service
    if name == REQUESTS:
        return {**labels, "code": last}
    return {**labels, "le": last} if last else labels


def exposition(rows: Iterable[tuple[str, Mapping[str, str], float]]) -> str:
    """Series with their values in Prometheus' text format.

    Without `up` and `job`: a Prometheus that scrapes them makes its own.
    """
    families: dict[str, list[str]] = {name: [] for name in TYPES}
    for name, labels, value in rows:
        family = DURATION if name.startswith(DURATION) else name
        if family in families:
            shown = ",".join(f'{k}="{v}"' for k, v in sorted(labels.items()) if k != "job")
            families[family].append(f"{name}{{{shown}}} {value:.15g}")
    lines = ["# HELP flowmaster_sandbox 1 where these figures come from a sandbox."]
    lines += ["# TYPE flowmaster_sandbox gauge", "flowmaster_sandbox 1"]
    for name, (kind, words) in TYPES.items():
        lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *families[name]]
    return "\n".join(lines) + "\n"
