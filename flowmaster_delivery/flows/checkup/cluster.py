"""An environment's cluster: whether it answers, what we may do there, what runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment, Kind
from flowmaster_delivery.model.checkup import Clocks, Finding, ServerFacts, Topic
from flowmaster_delivery.model.rights import Act, Right
from flowmaster_delivery.policy.checkup.cluster import (
    DANGEROUS,
    of_rights,
    of_version,
    of_workloads,
)
from flowmaster_delivery.policy.checkup.grading import not_checked
from flowmaster_delivery.policy.checkup.home import of_clock
from flowmaster_delivery.policy.rights import (
    acts_of,
    excess,
    gathered,
    missing,
    rights_of,
    viewing_rights,
)
from flowmaster_delivery.ports.checkup import ClusterDoor, Doors

Now = Callable[[], datetime]


def cluster(
    environment: Environment, catalog: Catalog, doors: Doors, *, views: bool
) -> Iterator[Finding]:
    """`views`: this process only reads, so that it needs no more than that."""
    about, door = environment.name, doors.cluster_door(environment)
    yield of_version(about, door.server().version)
    needed = viewing_rights() if views else rights_of(environment, catalog, inside=doors.inside)
    lacking, beyond = _rights(door, needed)
    yield from of_rights(about, lacking, beyond, environment.namespace)
    expected = [s.workload_name for s in catalog.services.values() if s.kind is Kind.DEPLOYMENT]
    there = doors.cluster(environment).workloads()
    yield of_workloads(about, expected, there.keys())


def _rights(
    door: ClusterDoor, needed: tuple[Right, ...]
) -> tuple[tuple[Right, ...], tuple[Right, ...]]:
    """What is lacking and what is beyond. Where the cluster does not tell all of its rules, each
    act is asked for."""
    granted = door.rights()
    lacking, beyond = missing(needed, granted.rights), excess(needed, granted.rights)
    if granted.complete:
        return lacking, beyond
    denied = gathered(act for act in acts_of(lacking) if not door.may(act))
    untold = [act for _, act in DANGEROUS if not _allowed(act, needed) and door.may(act)]
    return denied, gathered({*acts_of(beyond), *untold})


def _allowed(act: Act, rights: tuple[Right, ...]) -> bool:
    return any(right.allows(act) for right in rights)


def clock(about: str, server: Callable[[], ServerFacts], now: Now) -> Iterator[Finding]:
    before = now()
    theirs = server().clock
    if theirs is None:
        yield not_checked(Topic.CLOCK, about, "its answers carry no date")
    else:
        yield of_clock(about, Clocks(theirs, before, now()))


def cluster_clock(
    about: str, environment: Environment, doors: Doors, now: Now
) -> Iterator[Finding]:
    return clock(about, doors.cluster_door(environment).server, now)
