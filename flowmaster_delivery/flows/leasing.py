"""Holding the lease of a service, and patience with a cluster that gives no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import DeliveryError, Refused, Transient
from flowmaster_delivery.model.rollout import Phase, Progress
from flowmaster_delivery.ports import Cluster, Lease

T = TypeVar("T")

LEASE_SECONDS = 20.0
PAUSE_SECONDS = 0.5
"""Between two tries while the cluster gives no answer, or a lease is held."""


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
