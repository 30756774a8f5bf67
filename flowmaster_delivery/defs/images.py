"""`<service>/image`: the digest that an environment's ref stands for."""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    DataVersion,
    Failure,
    MaterializeResult,
    multi_asset,
)

from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import described, in_our_words, spec, step_key
from flowmaster_delivery.flows.image import Unresolved, label, resolve
from flowmaster_delivery.flows.source import source_of
from flowmaster_delivery.model.catalog import Catalog, Service
from flowmaster_delivery.model.image import ImageRecord

DESCRIPTION = """The image of this service that the environment's ref stands for, found by the
content of its source: built once, then the same digest everywhere."""


def image_asset(catalog: Catalog, service: Service) -> AssetsDefinition:
    made = spec(
        catalog, service, "image", deps=(), kinds={"docker", "gitlab"}, description=DESCRIPTION
    )

    @multi_asset(
        name=step_key(service.name, "image"),
        specs=[made],
        required_resource_keys={"form", "delivery"},
    )
    def image(context: AssetExecutionContext) -> Iterator[MaterializeResult[None]]:
        form: Form = context.resources.form
        delivery: Delivery = context.resources.delivery
        with in_our_words(context):
            environment = catalog.environment(context.partition_key)
            source = source_of(service, environment, form.wanted, delivery.reading)
            found = resolve(service, source, delivery.reading, delivery.now())
            if isinstance(found, Unresolved):
                yield from _no_image(context, found, ship=form.ship)
                return
            label(service, found, delivery.reading)
        yield MaterializeResult(
            asset_key=AssetKey([service.name, "image"]),
            data_version=DataVersion(found.digest),
            metadata={
                **described(_facts(catalog, service, found, delivery)),
                **record_metadata(delivery, found),
            },
        )

    return image


def _no_image(
    context: AssetExecutionContext, found: Unresolved, *, ship: bool
) -> Iterator[MaterializeResult[None]]:
    """Whoever ships must know; a prognosis says it and goes on with the others."""
    if ship:
        raise Failure(found.why, allow_retries=False)
    context.log.warning("%s: %s", found.service, found.why)
    yield from ()


def _facts(
    catalog: Catalog, service: Service, found: ImageRecord, delivery: Delivery
) -> dict[str, object]:
    repository = catalog.repository(service.repository)
    forge = delivery.ports.forge
    return {
        "reference": catalog.reference(service, found.digest),
        "digest": found.digest,
        "version": found.version,
        "origin": found.origin.value,
        "commit": found.commit_url or found.commit,
        "tag": forge.url(repository, tag=found.version) if found.version else None,
        "ref": found.ref,
        "built from": found.built_from,
        "fingerprint": found.fingerprint,
        "pipeline": found.pipeline_url,
        "size (bytes)": found.size,
    }
