"""Adopt: take over what runs already, on the word of a named person.

Reads image ids from the cluster; what it finds becomes the first image, deployment and health of
each service, and so the first rollback target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flowmaster_delivery.flows.image import Source, Unresolved, resolve
from flowmaster_delivery.flows.migrations.schemas import word_on
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, Kind, RefKind, Service
from flowmaster_delivery.model.errors import Malformed, NotFound
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.image import ImageRecord, Origin
from flowmaster_delivery.model.migration import Migration, SchemaNeed, SchemaRange
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
    Pod,
    Workload,
    last_success,
)
from flowmaster_delivery.policy.images import source_digest
from flowmaster_delivery.policy.migrations import declared, needed
from flowmaster_delivery.policy.versioning import newest_version
from flowmaster_delivery.ports import History


@dataclass(frozen=True, slots=True)
class Adopted:
    """One service: what was taken over, or why nothing was."""

    service: str
    digest: str | None
    version: str | None
    commit: str | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    digest: str
    commit: str
    version: str | None
    labels: Mapping[str, str] = field(default_factory=dict)


def adopt(
    environment: Environment, by: str, reason: str, reading: Reading, now: datetime
) -> tuple[Adopted, ...]:
    """Adopt every service of the environment; one that cannot be is named with the reason.

    A service that was brought there already is left as it is: adopting twice changes nothing.
    """
    cluster = reading.ports.cluster(environment)
    workloads, pods = cluster.workloads(), cluster.all_pods()
    return tuple(
        _adopt_one(service, environment, workloads, pods, by, reason, reading, now)
        for service in reading.catalog.services.values()
    )


def _adopt_one(
    service: Service,
    environment: Environment,
    workloads: Mapping[str, Workload],
    pods: Mapping[str, tuple[Pod, ...]],
    by: str,
    reason: str,
    reading: Reading,
    now: datetime,
) -> Adopted:
    done = reading.ports.history.deployments(service.name, environment.name)
    known = last_success(done)
    if known:
        why = "on record already"
        return Adopted(service.name, known.digest, known.version, known.commit, why)
    try:
        found = _find(service, environment, workloads, pods, reading, now)
        reading.fingerprints(reading.catalog.repository(service.repository), found.commit)
    except (NotFound, Malformed) as error:
        return Adopted(service.name, None, None, None, str(error))
    _record(service, environment, found, by, reason, reading, now)
    return Adopted(service.name, found.digest, found.version, found.commit)


def _find(
    service: Service,
    environment: Environment,
    workloads: Mapping[str, Workload],
    pods: Mapping[str, tuple[Pod, ...]],
    reading: Reading,
    now: datetime,
) -> _Found:
    if service.kind is Kind.DEPLOYMENT:
        return _find_running(service, environment, workloads, pods, reading)
    return _find_at_ref(service, environment, reading, now)


def _find_running(
    service: Service,
    environment: Environment,
    workloads: Mapping[str, Workload],
    pods: Mapping[str, tuple[Pod, ...]],
    reading: Reading,
) -> _Found:
    """What the pods really run, and the commit that the image's label names."""
    if service.workload_name not in workloads:
        raise NotFound(f"there is no Deployment {service.workload_name} in {environment.namespace}")
    workload = workloads[service.workload_name]
    if workload.updated < workload.total:
        raise NotFound(f"{service.name} is being rolled out just now; adopt it when it is calm")
    running = pods.get(service.workload_name, ())
    digests = {p.digest for p in running if p.digest and p.ready and not p.terminating}
    if len(digests) != 1:
        count = "no ready pod" if not digests else f"{len(digests)} different images"
        raise NotFound(
            f"{service.name} has {count} in {environment.namespace}; adopt it when it is calm"
        )
    digest = digests.pop()
    image = reading.ports.registry.read(service.image, digest)
    if image is None or image.revision is None:
        what = "does not have it" if image is None else "has no commit label on it"
        raise NotFound(f"{service.name} runs {digest[:19]}, but the registry {what}")
    version = _version_at(service, image.revision, reading)
    return _Found(digest, image.revision, version, image.labels)


def _find_at_ref(
    service: Service, environment: Environment, reading: Reading, now: datetime
) -> _Found:
    """Jobs, manifests and artifacts have no pods to ask: what the environment's ref stands at."""
    source = _at_ref(service, environment, reading)
    version = _version_at(service, source.commit, reading)
    if service.kind is Kind.MANIFESTS:
        fingerprint = reading.fingerprints(source.repository, source.commit)[service.name]
        return _Found(source_digest(fingerprint), source.commit, version)
    if source.version:
        image = reading.ports.registry.digest_of(service.image, source.version)
        if image:
            return _Found(image.digest, source.commit, version, image.labels)
    found = resolve(service, source, reading, now)
    if isinstance(found, Unresolved):
        raise NotFound(found.why)
    image = reading.ports.registry.read(service.image, found.digest)
    return _Found(found.digest, source.commit, version, image.labels if image else {})


def _at_ref(service: Service, environment: Environment, reading: Reading) -> Source:
    repository = reading.catalog.repository(service.repository)
    refs, branch = reading.refs(repository), environment.ref.branch
    version = newest_version(refs.tags) if environment.ref.kind is RefKind.VERSION else None
    commit = refs.tags[version] if version else refs.branches.get(branch or "")
    if commit is None:
        raise NotFound(f"{repository.name} has no {environment.ref}")
    return Source(environment, repository, commit, version or branch or "", version)


def _version_at(service: Service, commit: str, reading: Reading) -> str | None:
    tags = reading.refs(reading.catalog.repository(service.repository)).tags
    return newest_version(tag for tag, at in tags.items() if at == commit)


def _record(
    service: Service,
    environment: Environment,
    found: _Found,
    by: str,
    reason: str,
    reading: Reading,
    now: datetime,
) -> None:
    repository = reading.catalog.repository(service.repository)
    fingerprint = reading.fingerprints(repository, found.commit)[service.name]
    image = ImageRecord(
        service=service.name,
        environment=environment.name,
        digest=found.digest,
        fingerprint=fingerprint,
        commit=found.commit,
        built_from=found.commit,
        ref=environment.ref.branch or found.version or repository.main,
        origin=Origin.ADOPTED,
        at=now,
        version=found.version,
        commit_url=reading.ports.forge.url(repository, commit=found.commit),
    )
    history = reading.ports.history
    history.record(image)
    history.record(_deployment(image, _schemas(service, found), by, reason))
    _record_schema(service, environment, found, by, history, now)
    history.record(_look(image, by))


def _deployment(
    image: ImageRecord, schemas: tuple[SchemaNeed, ...], by: str, reason: str
) -> DeploymentRecord:
    return DeploymentRecord(
        service=image.service,
        environment=image.environment,
        method=Method.ADOPTION,
        outcome=Outcome.SUCCESS,
        digest=image.digest,
        previous_digest=None,
        fingerprint=image.fingerprint,
        commit=image.commit,
        started_at=image.at,
        finished_at=image.at,
        asked_by=by,
        reason=reason,
        version=image.version,
        changed=False,
        schemas=schemas,
    )


def _look(image: ImageRecord, by: str) -> HealthObservation:
    return HealthObservation(
        service=image.service,
        environment=image.environment,
        state=HealthState.HEALTHY,
        digest=image.digest,
        fingerprint=image.fingerprint,
        at=image.at,
        reason=f"adopted by {by}",
    )


def _schemas(service: Service, found: _Found) -> tuple[SchemaNeed, ...]:
    """What the image that runs says of schemas; a label that is none says nothing."""
    said = ((job, needed(job, found.labels)) for job in service.migrations)
    return tuple(SchemaNeed(job, n) for job, n in said if isinstance(n, SchemaRange))


def _record_schema(
    service: Service,
    environment: Environment,
    found: _Found,
    by: str,
    history: History,
    now: datetime,
) -> None:
    """The schema is where the job's image leads to, on the word of whoever adopts."""
    if service.kind is not Kind.JOB or history.migrations(service.name, environment.name, limit=1):
        return
    said = declared(service.name, found.digest, found.labels)
    if isinstance(said, Migration):
        word = word_on(service.name, environment.name, said.after, "adopted", by, now)
        history.record(word)
