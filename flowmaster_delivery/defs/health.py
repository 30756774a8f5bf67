"""`<service>/health`: whether what was deployed answers; the watch looks on from then on."""

from collections.abc import Iterator

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    MaterializeResult,
    multi_asset,
)

from flowmaster_delivery.defs.partitions import environments
from flowmaster_delivery.defs.recording import record_metadata
from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.defs.shapes import described, in_our_words, spec, step_key
from flowmaster_delivery.flows.health import look_at
from flowmaster_delivery.model.catalog import Catalog, Service
from flowmaster_delivery.model.health import HealthObservation, HealthState

DESCRIPTION = """Whether the service answers in the environment, on its new pods. Observed by a
watch from then on: changes and a heartbeat are recorded, and soak is counted from them."""

Result = AssetCheckResult | MaterializeResult[None]


def health_asset(catalog: Catalog, service: Service) -> AssetsDefinition:
    made = spec(
        catalog,
        service,
        "health",
        deps=("deployment",),
        kinds={"kubernetes", "http"},
        description=DESCRIPTION,
    )

    @multi_asset(
        name=step_key(service.name, "health"),
        specs=[made],
        check_specs=[_endpoint_check(catalog, service)],
        required_resource_keys={"delivery"},
    )
    def health(context: AssetExecutionContext) -> Iterator[Result]:
        delivery: Delivery = context.resources.delivery
        with in_our_words(context):
            environment = catalog.environment(context.partition_key)
            seen = look_at(service, environment, delivery.catalog, delivery.ports, now=delivery.now)
        facts = described(_facts(seen))
        key = AssetKey([service.name, "health"])
        yield MaterializeResult(
            asset_key=key, metadata={**facts, **record_metadata(delivery, seen)}
        )
        yield AssetCheckResult(
            asset_key=key,
            check_name="endpoint",
            passed=seen.state is HealthState.HEALTHY,
            severity=AssetCheckSeverity.ERROR,
            description=seen.reason or f"{service.name} answers",
            metadata=facts,
        )

    return health


def _endpoint_check(catalog: Catalog, service: Service) -> AssetCheckSpec:
    return AssetCheckSpec(
        name="endpoint",
        asset=AssetKey([service.name, "health"]),
        description=f"Does {service.health_path} answer 200 in time, on every new pod?",
        blocking=True,
        partitions_def=environments(catalog),
    )


def _facts(seen: HealthObservation) -> dict[str, object]:
    return {
        "state": seen.state.value,
        "reason": seen.reason,
        "digest": seen.digest,
        "failures in a row": seen.failures_in_a_row,
        **seen.evidence,
    }
