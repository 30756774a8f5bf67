"""Timeline: what is on record of an environment, for whoever wants to look at it again.

Reads the history alone and writes nothing. In two steps, since looks are many: all records but the
looks, and the looks at one service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.timeline import Cut
from flowmaster_delivery.ports import History, Record

MOST = 1_000
"""Admissions, deployments and verifications of one service; incidents of the environment."""
MOST_LOOKS = 50_000
"""Of one service in one environment: a year of heartbeats."""
BEFORE = 20
"""Deployments and verifications before the time asked for: what ran when it began."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Records in no order that counts; `cuts` say of what older looks were left out."""

    records: tuple[Record, ...]
    cuts: tuple[Cut, ...] = ()


def what_was_done(
    environment: Environment, since: datetime, catalog: Catalog, history: History
) -> Recorded:
    """All of an environment since a moment, but the looks."""
    found: list[Record] = []
    versions: set[tuple[str, str]] = set()
    for service in catalog.services:
        admissions = history.admissions(service, environment.name, limit=MOST)
        recent = [admission for admission in admissions if admission.at >= since]
        versions |= {(a.candidate.repository, a.candidate.version or "") for a in recent}
        done = history.deployments(service, environment.name, limit=MOST)
        verified = history.verifications(service, environment.name, limit=MOST)
        found += recent
        found += done[: _count(since, [record.finished_at for record in done])]
        found += verified[: _count(since, [one.at for one in verified])]
    for repository, version in sorted(versions):
        if version:
            found += history.approvals(repository, version)
            found += history.overrides(repository, version)
    incidents = history.incidents(environment.name, limit=MOST)
    found += [incident for incident in incidents if incident.opened_at >= since]
    found += [hold for hold in history.holds() if hold.environment == environment.name]
    return Recorded(tuple(found))


def looks(
    service: Service, environment: Environment, since: datetime, history: History
) -> Recorded:
    """Every look at a service since a moment, without its evidence."""
    seen = history.observations(service.name, environment.name, since=since, limit=MOST_LOOKS)
    cuts: tuple[Cut, ...] = ()
    if len(seen) == MOST_LOOKS:
        cuts = (Cut(service.name, environment.name, min(look.at for look in seen)),)
    return Recorded(tuple(replace(look, evidence={}) for look in seen), cuts)


def _count(since: datetime, newest_first: list[datetime]) -> int:
    """How many are since a moment, and some before it."""
    return sum(at >= since for at in newest_first) + BEFORE
