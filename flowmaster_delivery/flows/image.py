"""Image: from a ref's commit to the digest that stands for each service there.

An unchanged fingerprint is nothing to do; one that was built already is reused; a new one is what
CI pushed for the commit, or for the newest first-parent commit with the same source (design §9).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, Kind, Repository, Service
from flowmaster_delivery.model.image import ImageRecord, Origin, RegistryImage
from flowmaster_delivery.model.rollout import Method
from flowmaster_delivery.policy.images import known_image, source_digest

LOOK_BACK = 50
"""First-parent commits that are searched for an image of the same source."""

CI_TAG = 8
"""Length of `$CI_COMMIT_SHORT_SHA`, which CI tags images with."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an environment's ref stands at."""

    environment: Environment
    repository: Repository
    commit: str
    ref: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Unresolved:
    """That there is no image for a service's source, and what would bring one."""

    service: str
    fingerprint: str
    why: str


@dataclass(frozen=True, slots=True)
class _Found:
    digest: str
    built_from: str
    origin: Origin
    size: int | None = None


def resolve(
    service: Service, source: Source, reading: Reading, now: datetime
) -> ImageRecord | Unresolved:
    """The image of a service at the source's commit, or why there is none. Writes nothing."""
    fingerprint = reading.fingerprints(source.repository, source.commit)[service.name]
    found = _find(service, source, fingerprint, reading)
    if isinstance(found, str):
        return Unresolved(service.name, fingerprint, found)
    pipeline, _ = reading.ci(source.repository, source.commit, source.ref)
    forge = reading.ports.forge
    return ImageRecord(
        service=service.name,
        environment=source.environment.name,
        digest=found.digest,
        fingerprint=fingerprint,
        commit=source.commit,
        built_from=found.built_from,
        ref=source.ref,
        origin=found.origin,
        at=now,
        version=source.version,
        pipeline=pipeline.id if pipeline else None,
        pipeline_url=pipeline.url if pipeline else "",
        commit_url=forge.url(source.repository, commit=source.commit),
        size=found.size,
    )


def label(service: Service, record: ImageRecord, reading: Reading) -> None:
    """Let a release's version be a tag of its digest in the registry.

    A version tag never moves to another digest: raise Refused where it stands for one.
    """
    if record.version and service.kind is not Kind.MANIFESTS:
        reading.ports.registry.tag(service.image, record.digest, record.version)


def affected(source: Source, reading: Reading) -> tuple[Service, ...]:
    """The services whose source at the commit has not been brought to the environment yet.

    One whose last attempt was with this source and failed is not affected: it has its outcome.
    Neither is one that was rolled back from it: the source that was bad stays away.
    """
    fingerprints = reading.fingerprints(source.repository, source.commit)
    history, environment = reading.ports.history, source.environment.name
    changed = []
    for service in reading.catalog.services_of(source.repository.name):
        wanted = fingerprints[service.name]
        images = history.images(service.name, environment, limit=1)
        done = history.deployments(service.name, environment, limit=10)
        tried = next((r for r in done if r.method is not Method.ROLLBACK), None)
        settled = tried is not None and tried.fingerprint == wanted
        if not (images and images[0].fingerprint == wanted and settled):
            changed.append(service)
    return tuple(changed)


def _find(service: Service, source: Source, fingerprint: str, reading: Reading) -> _Found | str:
    if service.kind is Kind.MANIFESTS:
        return _Found(source_digest(fingerprint), source.commit, Origin.BUILT)
    known = known_image(
        _recorded(service, reading), fingerprint, prefer=source.environment.upstream
    )
    if source.version:
        return _promoted(known, source)
    if known and reading.ports.registry.read(service.image, known.digest):
        return _Found(known.digest, known.built_from, Origin.REUSED, known.size)
    return _built(service, source, fingerprint, reading)


def _recorded(service: Service, reading: Reading) -> tuple[ImageRecord, ...]:
    def read() -> tuple[ImageRecord, ...]:
        history = reading.ports.history
        names = reading.catalog.environments
        return tuple(record for name in names for record in history.images(service.name, name))

    return reading.once(("images", service.name), read)


def _promoted(known: ImageRecord | None, source: Source) -> _Found | str:
    upstream = source.environment.upstream
    if known and known.environment in (upstream, source.environment.name):
        return _Found(known.digest, known.built_from, Origin.PROMOTED, known.size)
    return (
        f"the source of {source.version} has no image in {upstream}; merge it to {upstream}, "
        "let it roll out there, and tag again"
    )


def _built(service: Service, source: Source, fingerprint: str, reading: Reading) -> _Found | str:
    for commit in reading.once(
        ("first_parents", source.repository.name, source.commit),
        lambda: reading.ports.forge.first_parents(source.repository, source.commit, LOOK_BACK),
    ):
        if reading.fingerprints(source.repository, commit.id)[service.name] != fingerprint:
            break
        image = _pushed(service, commit.id, reading)
        if image:
            return _Found(image.digest, commit.id, Origin.BUILT, image.size)
    return (
        f"no image was built for the source of {service.name} at {source.commit[:CI_TAG]}: "
        f"run the pipeline of {source.ref}"
    )


def _pushed(service: Service, commit: str, reading: Reading) -> RegistryImage | None:
    """What CI pushed for a commit; an image whose label names another commit is not it."""
    image = reading.ports.registry.digest_of(service.image, commit[:CI_TAG])
    if image and image.revision and image.revision != commit:
        return None
    return image
