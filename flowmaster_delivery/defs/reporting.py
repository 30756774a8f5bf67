"""Back to GitLab: its environments page shows what was deployed, and how that went.

Reconciles from runs: what could not be written is written at a later look. Delivery never waits
for it, and nothing reads it back as evidence.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from flowmaster_delivery.defs import submissions as tags
from flowmaster_delivery.defs.beating import beating
from flowmaster_delivery.defs.resources import Platform, clock
from flowmaster_delivery.defs.unrevealing import unrevealing_look
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.submission import Purpose
from flowmaster_delivery.ports import Ports
from flowmaster_delivery.wiring import record_in

STATUS = {
    DagsterRunStatus.STARTED: "running",
    DagsterRunStatus.SUCCESS: "success",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "canceled",
}
"""A run's state in GitLab's words."""

LOOK_BACK = timedelta(hours=2)
MOST_RUNS = 50


@dataclass(frozen=True, slots=True)
class Report:
    """One line of GitLab's deployments page."""

    run_id: str
    repository: str
    environment: str
    commit: str
    ref: str
    status: str

    @property
    def key(self) -> str:
        return f"{self.run_id}:{self.repository}"


def reporting_sensor(platform: Platform, interval: int) -> SensorDefinition:
    @sensor(
        name="back_to_gitlab",
        minimum_interval_seconds=interval,
        default_status=DefaultSensorStatus.RUNNING,
        description="Writes environments and deployments to GitLab, from the runs.",
    )
    @beating(platform)
    @unrevealing_look
    def back_to_gitlab(context: SensorEvaluationContext) -> SensorResult:
        written: dict[str, str] = json.loads(context.cursor or "{}")
        ports = platform.ports(platform.instance(context))
        current: dict[str, str] = {}
        for report in _reports(platform, platform.instance(context)):
            known = written.get(report.key)
            if known != report.status and _write(report, platform, ports, context):
                known = report.status
            if known:
                current[report.key] = known
        words = SkipReason(f"{len(current)} deployments of late are in GitLab")
        return SensorResult(skip_reason=words, cursor=json.dumps(current))

    return back_to_gitlab


def _write(
    report: Report, platform: Platform, ports: Ports, context: SensorEvaluationContext
) -> bool:
    catalog = platform.catalog
    try:
        ports.forge.record_deployment(
            catalog.repository(report.repository),
            catalog.environment(report.environment),
            report.commit,
            report.ref,
            report.status,
        )
    except DeliveryError as error:
        context.log.warning(
            "%s in %s is not in GitLab: %s", report.repository, report.environment, error
        )
        return False
    return True


def _reports(platform: Platform, instance: DagsterInstance) -> Iterator[Report]:
    """What GitLab should show of the runs of late, oldest first."""
    since = clock().astimezone(UTC) - LOOK_BACK
    for record in sorted(_deploying(instance, since), key=lambda record: record.storage_id):
        yield from _of_run(record, platform, instance)


def _deploying(instance: DagsterInstance, since: datetime) -> Iterator[RunRecord]:
    for purpose in (Purpose.DELIVERY, Purpose.SHIP, Purpose.ROLLBACK):
        wanted = RunsFilter(
            tags={tags.PURPOSE: purpose.value}, statuses=list(STATUS), updated_after=since
        )
        yield from instance.get_run_records(wanted, limit=MOST_RUNS)


def _of_run(record: RunRecord, platform: Platform, instance: DagsterInstance) -> Iterator[Report]:
    run = record.dagster_run
    environment = run.tags.get(tags.ENVIRONMENT, "")
    status = STATUS[run.status]
    if run.tags.get(tags.REPOSITORY) in platform.catalog.repositories and _deploys(run.tags):
        named = (run.tags[tag] for tag in (tags.REPOSITORY, tags.COMMIT, tags.REF))
        repository, commit, ref = named
        yield Report(run.run_id, repository, environment, commit, ref, status)
        return
    for repository, done in _rolled_back(run.run_id, platform, instance).items():
        ref = done.version or platform.catalog.repository(repository).main
        yield Report(run.run_id, repository, environment, done.commit, ref, status)


def _deploys(run_tags: Mapping[str, str]) -> bool:
    return any(name.startswith("flowmaster/lock/") for name in run_tags)


def _rolled_back(
    run_id: str, platform: Platform, instance: DagsterInstance
) -> dict[str, DeploymentRecord]:
    """Repository to one rollback of the run: its commit is in the record, not in the run's tags."""
    events = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    found = {}
    for event in events.records:
        done = record_in(DeploymentRecord, event.event_log_entry, platform.settings)
        if done and done.method is Method.ROLLBACK and done.commit:
            found[platform.catalog.service(done.service).repository] = done
    return found
