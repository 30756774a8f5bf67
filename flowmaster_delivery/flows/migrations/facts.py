"""What a gate asks about migrations: declarations from the registry, versions from the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowmaster_delivery.flows.migrations.fitting import labels_of
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, Kind, Service
from flowmaster_delivery.model.facts import MigrationFacts, SchemaFacts, SchemaUser
from flowmaster_delivery.model.migration import Migration, MigrationRecord
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollout import last_success
from flowmaster_delivery.policy.migrations import declared, needed


def migration_facts(
    candidate: Candidate, service: Service, environment: Environment, reading: Reading
) -> MigrationFacts:
    """Of a job what it does and who runs on its schema; of a service what it needs and what there
    is. Nothing is asked for a service that works on no schema, nor for one without an image."""
    job = service.kind is Kind.JOB
    if candidate.digest is None or not (job or service.migrations):
        return MigrationFacts()
    labels = _labels(service, candidate.digest, reading)
    if job:
        return MigrationFacts(
            schemas=(SchemaFacts(service.name, _records(service.name, environment, reading)),),
            declared=declared(service.name, candidate.digest, labels),
            users=tuple(_users(service, environment, reading)),
        )
    return MigrationFacts(
        tuple(
            SchemaFacts(
                job=name,
                records=_records(name, environment, reading),
                needs=needed(name, labels),
                coming=_coming(reading.catalog.service(name), candidate, environment, reading),
            )
            for name in service.migrations
        )
    )


def _records(job: str, environment: Environment, reading: Reading) -> tuple[MigrationRecord, ...]:
    return reading.ports.history.migrations(job, environment.name)


def _users(job: Service, environment: Environment, reading: Reading) -> Iterator[SchemaUser]:
    for service in reading.catalog.services.values():
        if job.name in service.migrations:
            records = reading.ports.history.deployments(service.name, environment.name)
            running = last_success(records)
            if running:
                yield SchemaUser(service.name, running.needs(job.name))


def _coming(
    job: Service, candidate: Candidate, environment: Environment, reading: Reading
) -> Migration | None:
    """What will have run before the candidate arrives: waves bring a job before its services."""
    history = reading.ports.history
    running = last_success(history.deployments(job.name, environment.name))
    admitted = history.admissions(job.name, environment.name, limit=1)
    images = history.images(job.name, environment.name, limit=1)
    digests = [a.candidate.digest for a in admitted if a.ship]
    digests += [image.digest for image in images if image.commit == candidate.commit]
    for digest in digests:
        if digest and not (running and running.digest == digest):
            found = declared(job.name, digest, _labels(job, digest, reading))
            if isinstance(found, Migration):
                return found
    return None


def _labels(service: Service, digest: str, reading: Reading) -> Mapping[str, str]:
    return labels_of(service, digest, reading.registry_image(service, digest))
