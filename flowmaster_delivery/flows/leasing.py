"""Holding the lease of a service, and patience with a cluster that gives no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import DeliveryError, Refused, Superseded, Transient
from flowmaster_delivery.model.rollout import Phase, Progress, Workload
from flowmaster_delivery.policy.rollout import fence
from flowmaster_delivery.ports import Cluster, Lease

T = TypeVar("T")

LEASE_SECONDS = 20.0
PAUSE_SECONDS = 0.5
"""Between two tries while the cluster gives no answer, or a lease is held."""


@dataclass(frozen=True, slots=True)
class Grip:
    """A service whose lease is held, and for how long the cluster may give no answer."""

    service: Service
    cluster: Cluster
    lease: Lease
    pace: Pace
    seconds: float

    def patiently(self, call: Callable[[], T]) -> T:
        return patiently(call, self.pace, self.seconds)

    def renew(self) -> None:
        """Raise Superseded where somebody has taken over."""
        self.patiently(lambda: self.cluster.renew(self.lease, LEASE_SECONDS))


@contextmanager
def held(
    service: Service, cluster: Cluster, holder: str, pace: Pace, preempt: bool = False
) -> Iterator[Lease]:
    """The lease of a service; that of a killed run is waited for until it has expired.

    Raise Refused where a living run holds it. Whoever needs it for longer than LEASE_SECONDS renews
    it.
    """
    lease = _acquire(service, cluster, holder, pace, preempt)
    try:
        yield lease
    finally:
        with suppress(DeliveryError):
            cluster.release(lease)


def patiently(call: Callable[[], T], pace: Pace, seconds: float) -> T:
    """Try while the cluster gives no answer, for so many seconds."""
    end = pace.monotonic() + seconds
    while True:
        try:
            return call()
        except Transient as error:
            if pace.monotonic() >= end or pace.cancelled():
                raise
            pace.on_progress(Progress(Phase.WAITING, str(error)))
            pace.sleep(PAUSE_SECONDS)


def stop_if_overtaken(workload: Workload, lease: Lease) -> None:
    """Raise Superseded where somebody with a newer token has written."""
    if fence(workload) > lease.token:
        raise Superseded(
            f"{workload.name} carries the newer fencing token {fence(workload)}; "
            f"{lease.holder} with token {lease.token} stops"
        )


def _acquire(service: Service, cluster: Cluster, holder: str, pace: Pace, preempt: bool) -> Lease:
    end = pace.monotonic() + LEASE_SECONDS + PAUSE_SECONDS

    def take() -> Lease:
        return cluster.acquire(service.name, holder, preempt=preempt, ttl=LEASE_SECONDS)

    while True:
        try:
            return patiently(take, pace, LEASE_SECONDS)
        except Refused:
            if pace.monotonic() >= end or pace.cancelled():
                raise
            pace.sleep(PAUSE_SECONDS)
