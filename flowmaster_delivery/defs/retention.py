"""Removing the old from Dagster's storage: ticks, runs that are no evidence, heartbeats.

What may go is `policy.retention`'s to say; here it is read and removed. A run goes by Dagster's own
public method, with its events and logs. Nobody else removes anything: the UI lets no one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dagster import (
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    EventLogEntry,
    RunRecord,
    RunsFilter,
)
from dagster._core.storage.event_log import SqlEventLogStorageTable
from sqlalchemy import Engine, delete
from sqlalchemy.exc import SQLAlchemyError

from flowmaster_delivery.defs import submissions as tags
from flowmaster_delivery.defs.shapes import step_key
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.retention import Line, OldRun, RetentionRule, RunEnd
from flowmaster_delivery.policy.retention import heartbeats, lines_of_runs, why_kept
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import carries_record, record_in

ENDED = {
    DagsterRunStatus.SUCCESS: RunEnd.SUCCESS,
    DagsterRunStatus.FAILURE: RunEnd.FAILURE,
    DagsterRunStatus.CANCELED: RunEnd.CANCELED,
}
READ = {
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.STEP_START,
}
FOLLOWING = ("dagster/parent_run_id", "dagster/root_run_id")
TOUCHES = step_key("", "deployment")
"""How the key of every step ends that changes a service."""
PAGE = 500


@contextmanager
def asked() -> Iterator[None]:
    """A database that gives no answer is Unreachable: the rest is for the next time."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        said = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
        raise Unreachable(f"the database of Dagster gives no answer: {said[0]}") from error


@asked()
def sweep_runs(
    instance: DagsterInstance, rule: RetentionRule, now: datetime, *, remove: bool
) -> tuple[Line, ...]:
    """Every run that has ended, removed or kept; all are looked at before the first one goes."""
    runs = [_old_run(record, instance, rule, now) for record in _ended(instance)]
    for run in runs:
        if remove and not why_kept(run, rule, now):
            instance.compute_log_manager.delete_logs(prefix=[run.id])
            instance.delete_run(run.id)
    return lines_of_runs(runs, rule, now)


def _ended(instance: DagsterInstance) -> Iterator[RunRecord]:
    """Oldest first."""
    wanted, after = RunsFilter(statuses=list(ENDED)), None
    while True:
        page = instance.get_run_records(wanted, limit=PAGE, cursor=after, ascending=True)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].dagster_run.run_id


def _old_run(
    record: RunRecord, instance: DagsterInstance, rule: RetentionRule, now: datetime
) -> OldRun:
    """Looked into only as far as it takes to know why it stays."""
    run, form = record.dagster_run, tags.form_of(record.dagster_run)
    found = OldRun(
        id=run.run_id,
        ended=ENDED[run.status],
        at=record.update_timestamp.astimezone(UTC),
        began=record.start_time is not None,
        ships=bool(form.get("ship") or form.get("rollback_to") or form.get("canary")),
    )
    if why_kept(found, rule, now):
        return found
    found = _with_its_events(found, instance)
    if why_kept(found, rule, now):
        return found
    followers = (RunsFilter(tags={tag: run.run_id}) for tag in FOLLOWING)
    return replace(
        found,
        has_followers=any(instance.get_run_records(one, limit=1) for one in followers),
        newest_of_ref=_is_newest_of_ref(run, instance),
    )


def _with_its_events(run: OldRun, instance: DagsterInstance) -> OldRun:
    after = None
    while True:
        page = instance.get_records_for_run(run.id, after, READ, PAGE)
        for event in page.records:
            run = _with(run, event.event_log_entry)
        if not page.has_more:
            return run
        after = page.cursor


def _with(run: OldRun, event: EventLogEntry) -> OldRun:
    match event.dagster_event_type:
        case DagsterEventType.ASSET_CHECK_EVALUATION:
            return replace(run, answers=run.answers + 1)
        case DagsterEventType.STEP_START:
            return replace(run, touched=run.touched or str(event.step_key).endswith(TOUCHES))
        case DagsterEventType.ASSET_OBSERVATION if not carries_record(event):
            return run
        case _:
            return replace(run, records=run.records + 1)


def _is_newest_of_ref(run: DagsterRun, instance: DagsterInstance) -> bool:
    """Its occasion is what the intake would order again if it found no run of it."""
    named = {tag: run.tags.get(tag, "") for tag in (tags.ENVIRONMENT, tags.REPOSITORY, tags.REF)}
    if not all(named.values()):
        return False
    newest = instance.get_runs(RunsFilter(tags=named), limit=1)
    return any(one.tags.get(tags.COMMIT) == run.tags.get(tags.COMMIT) for one in newest)


@asked()
def sweep_ticks(instance: DagsterInstance, now: datetime, *, remove: bool) -> Line:
    """By `retention` of dagster.yaml, of sensors that do not run any more as well: those that run
    are swept by the daemon."""
    count = 0
    for state in instance.all_instigator_state():
        origin, selector = state.instigator_origin_id, state.selector_id
        for status, days in instance.get_tick_retention_settings(state.instigator_type).items():
            if days < 0:  # for ever
                continue
            before = (now - timedelta(days=days)).timestamp()
            count += len(instance.get_ticks(origin, selector, before=before, statuses=[status]))
            if remove:
                instance.purge_ticks(origin, selector, before, [status])
    return Line("ticks", "older than dagster.yaml keeps them", count, True)


@asked()
def sweep_heartbeats(
    instance: DagsterInstance, settings: Settings, before: datetime, *, remove: bool
) -> Line:
    """Looks at which nothing had changed; Dagster has no method of its own to remove an event."""
    engine, count = _engine(instance), 0
    if engine is None:
        return Line("heartbeats", "this event log can remove none", 0, False)
    for key in instance.get_asset_keys():
        if len(key.path) == 2 and key.path[1] == "health":
            looks = _looks(key, instance, settings, before)
            gone = [one for own in looks.values() for one in heartbeats(own)]
            count += len(gone)
            if remove:
                _remove(gone, engine)
    return Line("heartbeats", "looks at which nothing had changed", count, True)


def _looks(
    key: AssetKey, instance: DagsterInstance, settings: Settings, before: datetime
) -> Mapping[str, list[tuple[int, HealthObservation]]]:
    """Of one service, by environment, oldest first."""
    found: dict[str, list[tuple[int, HealthObservation]]] = {}
    where = AssetRecordsFilter(asset_key=key, before_timestamp=before.timestamp())
    after = None
    while True:
        page = instance.fetch_observations(where, PAGE, after, ascending=True)
        for event in page.records:
            look = record_in(HealthObservation, event.event_log_entry, settings)
            if look and not event.run_id:
                found.setdefault(look.environment, []).append((event.storage_id, look))
        if not page.has_more:
            return found
        after = page.cursor


def _engine(instance: DagsterInstance) -> Engine | None:
    found = getattr(instance.event_log_storage, "engine", None)
    return found if isinstance(found, Engine) else None


def _remove(events: list[int], engine: Engine) -> None:
    for begin in range(0, len(events), PAGE):
        some = SqlEventLogStorageTable.c.id.in_(events[begin : begin + PAGE])
        with engine.begin() as connection:
            connection.execute(delete(SqlEventLogStorageTable).where(some))
