"""All definitions from settings and catalog."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from datetime import datetime

from dagster import (
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BetaWarning,
    DagsterRun,
    Definitions,
    PreviewWarning,
    SensorDefinition,
    colored_console_logger,
)

from flowmaster_delivery.defs.deployments import deployment_asset
from flowmaster_delivery.defs.executor import ADMISSION, WaveOf, thread_executor
from flowmaster_delivery.defs.form import Form
from flowmaster_delivery.defs.health import health_asset
from flowmaster_delivery.defs.images import image_asset
from flowmaster_delivery.defs.intake import intake_sensor
from flowmaster_delivery.defs.partitions import environments
from flowmaster_delivery.defs.promotions import promotion_asset
from flowmaster_delivery.defs.reporting import reporting_sensor
from flowmaster_delivery.defs.resources import Opener, Platform, clock, delivery_resource
from flowmaster_delivery.defs.shapes import group_of, step_key
from flowmaster_delivery.defs.ship import ship_sensor
from flowmaster_delivery.defs.submissions import form_of
from flowmaster_delivery.defs.watch import health_sensor
from flowmaster_delivery.model.catalog import Catalog, Service
from flowmaster_delivery.policy.waves import waves
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import open_ports

CHAPTERS: tuple[Callable[[Catalog, Service], AssetsDefinition], ...] = (
    image_asset,
    promotion_asset,
    deployment_asset,
    health_asset,
)

SANDBOX_INTERVAL = 3
"""Seconds. Dagster's daemon looks every five: asked for five, it would skip a look that comes a
moment early, and so every other one."""
INTERVAL = 30


def build(
    settings: Settings,
    catalog: Catalog,
    opener: Opener = open_ports,
    now: Callable[[], datetime] = clock,
) -> Definitions:
    """The definitions of this installation. Opens nothing and reads no secret."""
    platform = Platform(settings, catalog, opener, now)
    with warnings.catch_warnings():
        # Partitioned checks and code references: measured on the release that is pinned.
        warnings.simplefilter("ignore", PreviewWarning)
        warnings.simplefilter("ignore", BetaWarning)
        assets = [make(catalog, s) for s in catalog.services.values() for make in CHAPTERS]
    return Definitions(
        assets=[*assets, *_records(catalog)],
        sensors=_sensors(platform),
        resources={"form": Form.configure_at_launch(), "delivery": delivery_resource(platform)},
        executor=thread_executor(wave_of(catalog)),
        loggers={"console": colored_console_logger.configured({"log_level": "WARNING"})},
    )


def wave_of(catalog: Catalog) -> WaveOf:
    """Waves of a run's steps, from the dependencies of the services that it rolls out.

    All that is to be admitted is admitted before the first wave starts, so that nothing rolls out
    while the log is busy with questions. A rollback goes the other way: what depends on others goes
    back before them.
    """
    asked = {
        step_key(name, chapter) for name in catalog.services for chapter in ("image", "promotion")
    }
    owners = {
        step_key(name, chapter): name
        for name in catalog.services
        for chapter in ("deployment", "health")
    }

    def of(run: DagsterRun, steps: frozenset[str]) -> Mapping[str, int]:
        chosen = {owners[step] for step in steps if step in owners}
        if len(chosen) < 2:
            return {}
        services = catalog.services
        order = waves((services[name] for name in sorted(chosen)), services)
        if form_of(run).get("rollback_to"):
            order = tuple(reversed(order))
        index = {name: number for number, wave in enumerate(order) for name in wave}
        rolling = {step: index[owners[step]] for step in steps if step in owners}
        return {**rolling, **dict.fromkeys(steps & asked, ADMISSION)}

    return of


def _sensors(platform: Platform) -> list[SensorDefinition]:
    interval = SANDBOX_INTERVAL if platform.settings.sandbox else INTERVAL
    sensors = [
        intake_sensor(platform, interval),
        ship_sensor(platform, SANDBOX_INTERVAL),
        reporting_sensor(platform, interval),
    ]
    if not platform.settings.watch_apart:
        looks = min(e.health.look_every for e in platform.catalog.environments.values())
        sensors.append(health_sensor(platform, max(SANDBOX_INTERVAL, int(looks.total_seconds()))))
    return sensors


def _records(catalog: Catalog) -> list[AssetSpec]:
    """What is on record and materialized by no run of its own."""
    services = catalog.services.values()
    releases = [
        AssetSpec(
            AssetKey(["release", name]),
            description=f"Releases of {name} as they were first seen, and approvals of them.",
            group_name=group_of(catalog, name, "release"),
            kinds={"gitlab"},
        )
        for name in catalog.repositories
    ]
    holds = AssetSpec(
        AssetKey(["holds"]),
        description="Holds: no promotion of a service, placed and released by name.",
        group_name="holds",
    )
    incidents = AssetSpec(
        AssetKey(["incidents"]),
        description="What spoke against a release, what was decided and done about it.",
        group_name="incidents",
        partitions_def=environments(catalog),
    )
    return [*releases, *(_verified(catalog, service) for service in services), holds, incidents]


def _verified(catalog: Catalog, service: Service) -> AssetSpec:
    """What a rollback may go back to; written by the run that asks for health, and by the watch."""
    return AssetSpec(
        AssetKey([service.name, "verified"]),
        deps=[AssetKey([service.name, "health"])],
        description="Images that passed what the environment asks for: ways back.",
        group_name=group_of(catalog, service.repository, "verified"),
        partitions_def=environments(catalog),
    )
