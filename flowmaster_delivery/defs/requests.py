"""Orders as Dagster's run requests, sealed with who asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    RunRecord,
    RunRequest,
    RunsFilter,
)

from flowmaster_delivery.defs import submissions as tags
from flowmaster_delivery.defs.resources import Platform, asker_of, clock
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.ports import RunOrder

GRANT_TTL = timedelta(minutes=5)

TRIES = 5
"""Runs after the first one that failed without an outcome."""
FIRST_PAUSE = timedelta(minutes=1)


def new_requests(
    orders: Iterable[RunOrder], asked_by: str, platform: Platform, instance: DagsterInstance
) -> list[RunRequest]:
    """Requests for the orders whose occasion has no run yet, or none that came to an outcome."""
    due = (_due(order, platform, instance) for order in orders)
    return [request_of(order, asked_by, platform) for order in due if order]


def _due(order: RunOrder, platform: Platform, instance: DagsterInstance) -> RunOrder | None:
    """The order as it is to be run now: at first, or again after a run that failed.

    What is ordered again has no outcome yet, so the failure was not the image's. Each try is an
    occasion of its own; the pauses double, and after the last one it is left to people.
    """
    last: RunRecord | None = None
    for number in range(TRIES + 1):
        occasion = f"{order.occasion}/try:{number}" if number else order.occasion
        found = _run_of(occasion, platform, instance)
        if found is None:
            pause = FIRST_PAUSE * 2 ** (number - 1) if number else timedelta(0)
            over = (last.end_time or 0) + pause.total_seconds() if last else 0
            due = platform.now().timestamp() >= over
            return _as_occasion(order, occasion) if due else None
        if found.dagster_run.status is not DagsterRunStatus.FAILURE:
            return None
        last = found
    return None


def _as_occasion(order: RunOrder, occasion: str) -> RunOrder:
    return replace(order, occasion=occasion, tags={**order.tags, tags.OCCASION: occasion})


def _run_of(occasion: str, platform: Platform, instance: DagsterInstance) -> RunRecord | None:
    """The newest run of the occasion that the coordinator let through.

    One that was called off before it started is none; one that a person terminated is.
    """
    key = platform.settings.seal_key.read()
    records = instance.get_run_records(RunsFilter(tags={tags.OCCASION: occasion}))
    counting = (
        record
        for record in records
        if asker_of(record.dagster_run, key).known
        and (record.start_time or record.dagster_run.status is not DagsterRunStatus.CANCELED)
    )
    return next(counting, None)


def request_of(order: RunOrder, asked_by: str, platform: Platform) -> RunRequest:
    grant = Grant(asked_by, order.occasion, order.environment, clock() + GRANT_TTL)
    return RunRequest(
        # Dagster never starts a key twice: what the coordinator refuses is not ordered for ever.
        run_key=order.occasion,
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
