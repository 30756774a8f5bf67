"""What images say of schemas, and whether a rollout fits the schema that is there."""

from __future__ import annotations

from collections.abc import Mapping

from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import NotFound, Refused
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.migration import Migration, SchemaNeed, SchemaRange
from flowmaster_delivery.policy.migrations import (
    declared,
    half_done,
    mending,
    needed,
    says_nothing,
    standing,
)
from flowmaster_delivery.policy.schemas import chain
from flowmaster_delivery.ports import History, Ports, Registry


def declaration(service: Service, digest: str, registry: Registry) -> Migration | None:
    """What the image of a job does to the schema; None where it is no migration, as it seems.

    Raise Refused with every fault where it speaks of a migration that is not understood, NotFound
    where the registry does not have it.
    """
    labels = labels_of(service, digest, registry.read(service.image, digest))
    if says_nothing(labels):
        return None
    found = declared(service.name, digest, labels)
    if isinstance(found, Migration):
        return found
    raise Refused(
        f"what {service.name} does to its schema is not understood: {'; '.join(found)}; "
        "correct the labels of its image and build it again"
    )


def fitting(
    service: Service, digest: str, environment: Environment, ports: Ports
) -> tuple[SchemaNeed, ...]:
    """What the image says of the schemas that it works on.

    Raise Refused where a schema is only half migrated, or is at a version that it does not run on.
    """
    if not service.migrations:
        return ()
    for job in service.migrations:
        where = standing(job, ports.history.migrations(job, environment.name))
        if where.half:
            raise Refused(
                f"{service.name} is not changed in {environment.name}: {half_done(where.half)}; "
                f"{mending(where.half)}"
            )
    image = ports.registry.read(service.image, digest)
    labels, found = labels_of(service, digest, image), []
    for job in service.migrations:
        needs = needed(job, labels)
        if isinstance(needs, str):
            raise Refused(f"the image of {service.name} is not understood: {needs}")
        if needs is not None:
            _check_fits(service, job, needs, environment, ports.history)
            found.append(SchemaNeed(job, needs))
    return tuple(found)


def _check_fits(
    service: Service, job: str, needs: SchemaRange, environment: Environment, history: History
) -> None:
    schema = chain(job, history.migrations(job, environment.name))
    here = schema.version(schema.top)
    if here is not None and not schema.serves(needs, schema.top):
        raise Refused(
            f"the schema of {job} is at {here} in {environment.name}, this image of {service.name} "
            f"needs {needs}: bring {job} there first"
        )


def labels_of(service: Service, digest: str, image: RegistryImage | None) -> Mapping[str, str]:
    """What the image says of itself; raise NotFound where the registry does not have it."""
    if image is None:
        raise NotFound(
            f"the registry does not have {service.image}@{digest}, so nobody knows what it does to "
            "a schema; run its pipeline"
        )
    return image.labels
