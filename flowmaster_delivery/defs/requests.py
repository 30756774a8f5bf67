"""Orders as Dagster's run requests, sealed with who asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunRequest, RunsFilter

from flowmaster_delivery.defs import submissions as tags
from flowmaster_delivery.defs.resources import Platform, asker_of, clock
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.ports import RunOrder

GRANT_TTL = timedelta(minutes=5)


def new_requests(
    orders: Iterable[RunOrder], asked_by: str, platform: Platform, instance: DagsterInstance
) -> list[RunRequest]:
    """Requests for the orders whose occasion has no run yet."""
    return [
        request_of(order, asked_by, platform)
        for order in orders
        if not has_run(order.occasion, platform, instance)
    ]


def has_run(occasion: str, platform: Platform, instance: DagsterInstance) -> bool:
    """Whether a run of this occasion was let through by the coordinator, and not called off."""
    key = platform.settings.seal_key.read()
    runs = instance.get_runs(RunsFilter(tags={tags.OCCASION: occasion}))
    return any(
        run.status is not DagsterRunStatus.CANCELED and asker_of(run, key).known for run in runs
    )


def request_of(order: RunOrder, asked_by: str, platform: Platform) -> RunRequest:
    grant = Grant(asked_by, order.occasion, order.environment, clock() + GRANT_TTL)
    return RunRequest(
        asset_selection=[AssetKey([service, chapter]) for service, chapter in order.assets],
        partition_key=order.environment,
        run_config={"resources": {"form": {"config": dict(order.form)}}},
        tags={
            **order.tags,
            tags.OCCASION: order.occasion,
            tags.ENVIRONMENT: order.environment,
            tags.ASKED_BY: asked_by,
            tags.GRANT: grant.sealed(platform.settings.seal_key.read()),
        },
    )
