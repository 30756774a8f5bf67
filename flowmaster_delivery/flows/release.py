"""Release: a version tag with its manifest, the digest of every service of its repository."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flowmaster_delivery.flows.image import Source, resolve
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.promotion import Admission, ReleaseSeen
from flowmaster_delivery.policy.releases import ends
from flowmaster_delivery.ports import History


def remember_release(
    source: Source, services: Iterable[Service], reading: Reading, now: datetime
) -> ReleaseSeen:
    """Record the first sight of a version at a commit, with the digest of every service it has.

    A tag may come before staging has all of its images: what was missing is added once it is
    there. A digest that the manifest has never changes.
    """
    wanted = tuple(services)
    known = _known(source, reading)
    if known and all(service.name in known.images for service in wanted):
        return known
    records = [resolve(service, source, reading, now) for service in wanted]
    images = {r.service: r for r in records if isinstance(r, ImageRecord)}
    if known and images.keys() <= known.images.keys():
        return known
    release = ReleaseSeen(
        repository=source.repository.name,
        version=source.version or "",
        commit=source.commit,
        at=now,
        images={**{n: r.digest for n, r in images.items()}, **(known.images if known else {})},
        fingerprints={
            **{n: r.fingerprint for n, r in images.items()},
            **(known.fingerprints if known else {}),
        },
    )
    reading.ports.history.record(release)
    return release


def _known(source: Source, reading: Reading) -> ReleaseSeen | None:
    """The newest sight of the version, where it was at this commit."""
    releases = reading.ports.history.releases(source.repository.name)
    newest = next((r for r in releases if r.version == source.version), None)
    return newest if newest and newest.commit == source.commit else None


def came_to_an_end(admissions: Iterable[Admission], history: History) -> bool:
    """Whether one of the services that were admitted together failed, or was stopped by somebody:
    their release ended there, and is not shipped again by itself."""
    for admission in admissions:
        candidate = admission.candidate
        records = history.deployments(candidate.service, candidate.environment, limit=5)
        if any(ends(record, admission) for record in records):
            return True
    return False
