"""The ship sensor: what a promotion run admitted is brought to the cluster by a run of its own.

Two runs, so that a closed gate never marks a deployment as failed that is healthy as it is. A run
that failed ships nothing, unless it was asked to ship partially. A deployment run that failed is
tried again only where nothing came to an end.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetSelection,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from flowmaster_delivery.defs import submissions as tags
from flowmaster_delivery.defs.beating import beating
from flowmaster_delivery.defs.requests import new_requests
from flowmaster_delivery.defs.resources import Platform, clock
from flowmaster_delivery.defs.unrevealing import unrevealing_look
from flowmaster_delivery.flows.image import Source
from flowmaster_delivery.flows.orders import shipping
from flowmaster_delivery.flows.release import came_to_an_end
from flowmaster_delivery.model.promotion import Admission
from flowmaster_delivery.policy.submission import Purpose
from flowmaster_delivery.ports import RunOrder
from flowmaster_delivery.wiring import record_in

OVERLAP = timedelta(minutes=2)
"""How far each look reaches back behind the last one: runs may be stored out of order."""

NO_SOURCE = dict.fromkeys(("repository", "commit", "ref", "version"), "")
"""The form of a run over several repositories: each service ships what was admitted last."""

FIRST_LOOK = timedelta(hours=1)


def ship_sensor(platform: Platform, interval: int) -> SensorDefinition:
    @sensor(
        name="ship",
        asset_selection=AssetSelection.all(),
        minimum_interval_seconds=interval,
        default_status=DefaultSensorStatus.RUNNING,
        description="Starts the deployment of what a promotion run admitted.",
    )
    @beating(platform)
    @unrevealing_look
    def ship(context: SensorEvaluationContext) -> SensorResult:
        now = clock()
        since = datetime.fromisoformat(context.cursor) if context.cursor else now - FIRST_LOOK
        requests = []
        for record in _ended_promotions(platform.instance(context), since - OVERLAP):
            run = record.dagster_run
            instance = platform.instance(context)
            who = platform.delivery(instance).asker(run)
            orders = list(_orders(run, platform, instance))
            requests += [
                request
                for request in new_requests(orders, who.name, platform, instance)
                if _is_first(request, orders) or not _came_to_an_end(run, platform, instance)
            ]
        return SensorResult(
            run_requests=requests,
            skip_reason=None if requests else SkipReason("no promotion has ended"),
            cursor=now.astimezone(UTC).isoformat(),
        )

    return ship


def _is_first(request: RunRequest, orders: Iterable[RunOrder]) -> bool:
    """Whether nothing can have come to an end yet: then the history is not asked, tick for tick."""
    return any(request.run_key == order.occasion for order in orders)


def _came_to_an_end(run: DagsterRun, platform: Platform, instance: DagsterInstance) -> bool:
    return came_to_an_end(_admitted(run, platform, instance), platform.ports(instance).history)


def _ended_promotions(instance: DagsterInstance, since: datetime) -> list[RunRecord]:
    records = instance.get_run_records(
        RunsFilter(
            tags={tags.PURPOSE: Purpose.PROMOTION.value},
            statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE],
            updated_after=since,
        )
    )
    return [record for record in records if _ships(record.dagster_run)]


def _ships(run: DagsterRun) -> bool:
    return run.status is DagsterRunStatus.SUCCESS or tags.form_of(run).get("partial") is True


def _orders(run: DagsterRun, platform: Platform, instance: DagsterInstance) -> Iterator[RunOrder]:
    """One order for all that the run admitted; its repositories may be several, by hand."""
    admissions = list(_admitted(run, platform, instance))
    if not admissions:
        return
    first = admissions[0].candidate
    source = Source(
        environment=platform.catalog.environment(first.environment),
        repository=platform.catalog.repository(first.repository),
        commit=first.commit,
        ref=first.ref,
        version=first.version,
    )
    services = [admission.candidate.service for admission in admissions]
    order = shipping(source, services, run.run_id, reason=admissions[0].reason)
    if len({admission.candidate.repository for admission in admissions}) > 1:
        order = replace(order, form={**order.form, **NO_SOURCE})
    yield order


def _admitted(
    run: DagsterRun, platform: Platform, instance: DagsterInstance
) -> Iterator[Admission]:
    events = instance.get_records_for_run(
        run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION
    )
    for event in events.records:
        found = record_in(Admission, event.event_log_entry, platform.settings)
        if found:
            yield found
