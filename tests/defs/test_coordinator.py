"""The coordinator on a real instance: what a submitted run becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    JobDefinition,
    RunsFilter,
    asset,
)
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.run_coordinator.base import SubmitRunContext
from starlette.datastructures import Headers

from flowmaster_delivery.defs.coordinator import DeliveryCoordinator
from flowmaster_delivery.defs.resources import asker_of
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.policy.asking import Asker, Via
from tests.defs.conftest import SEAL_KEY

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("flowmaster"), "__repository__"),
    "__ASSET_JOB",
)
ALL = ("image", "promotion", "deployment", "health")


def asked(*callers: str) -> Any:
    """The workspace of a request over HTTP, with the proxy's header once for each caller."""
    raw = [(b"x-forwarded-user", caller.encode()) for caller in callers]
    return SimpleNamespace(source=SimpleNamespace(headers=Headers(raw=raw), client=None))


BY_DANA = asked("dana")


def submit(
    instance: DagsterInstance,
    environment: str = "dev",
    services: tuple[str, ...] = ("service-0",),
    chapters: tuple[str, ...] = ALL,
    tags: Mapping[str, str] | None = None,
    form: Mapping[str, object] | None = None,
    by: object = None,
    parent: str | None = None,
) -> DagsterRun:
    """Create and submit a run as a server does, or without a request; the run afterwards."""
    run = instance.create_run_for_job(
        a_job(),
        tags={"dagster/partition": environment, **(tags or {})},
        run_config={"resources": {"form": {"config": dict(form or {})}}},
        remote_job_origin=ORIGIN,
        asset_selection=frozenset(AssetKey([s, c]) for s in services for c in chapters),
        parent_run_id=parent,
        root_run_id=parent,
    )
    return instance.run_coordinator.submit_run(SubmitRunContext(run, cast("Any", by)))


@cache
def a_job() -> JobDefinition:
    keys = [[f"service-{n}", chapter] for n in range(3) for chapter in ALL]
    assets = [asset(key=key)(lambda: None) for key in keys]
    return Definitions(assets=assets).resolve_implicit_global_asset_job_def()


def granted(occasion: str, environment: str = "dev", minutes: int = 5) -> dict[str, str]:
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    grant = Grant("intake", occasion, environment, until)
    return {"flowmaster/occasion": occasion, "flowmaster/grant": grant.sealed(SEAL_KEY)}


def words(instance: DagsterInstance, run: DagsterRun) -> str:
    return " ".join(entry.user_message or "" for entry in instance.all_logs(run.run_id)) + " ".join(
        entry.dagster_event.message or ""
        for entry in instance.all_logs(run.run_id)
        if entry.dagster_event
    )


def test_a_run_is_queued_with_its_locks_and_its_asker(instance: DagsterInstance) -> None:
    run = submit(instance, services=("service-0", "service-1"), tags=granted("o1"))
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags["flowmaster/lock/service-0"] == "dev"
    assert run.tags["flowmaster/lock/service-1"] == "dev"
    assert run.tags["flowmaster/asked-by"] == "intake"
    assert run.tags["flowmaster/purpose"] == "delivery"
    assert asker_of(run, SEAL_KEY) == Asker("intake", Via.GRANT)


def test_limits_come_from_the_catalog(instance: DagsterInstance) -> None:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, DeliveryCoordinator)
    limits = coordinator.get_run_queue_config().tag_concurrency_limits
    keys = [limit["key"] for limit in limits]
    assert keys == [f"flowmaster/lock/service-{n}" for n in range(3)]


def test_what_a_caller_writes_into_the_tags_is_overwritten(instance: DagsterInstance) -> None:
    forged = {
        "flowmaster/asked-by": "dana",
        "flowmaster/voucher": "run|dana|grant.00",
        "flowmaster/purpose": "rollback",
        "flowmaster/occasion": "ship:r1",
    }
    run = submit(instance, tags=forged)
    assert run.tags["flowmaster/asked-by"] == "anonymous"
    assert run.tags["flowmaster/purpose"] == "delivery"
    assert run.tags["flowmaster/occasion"] == f"run:{run.run_id}"
    assert asker_of(run, SEAL_KEY) == Asker("anonymous", Via.NOTHING)


def test_a_voucher_of_another_run_names_nobody(instance: DagsterInstance) -> None:
    vouched = submit(instance, by=BY_DANA)
    other = instance.create_run_for_job(a_job(), tags=vouched.tags)
    assert asker_of(vouched, SEAL_KEY) == Asker("dana", Via.PROXY)
    assert asker_of(other, SEAL_KEY) == Asker("anonymous", Via.NOTHING)


def test_anonymous_production_is_refused_in_words(instance: DagsterInstance) -> None:
    run = submit(instance, "production")
    assert run.status is DagsterRunStatus.FAILURE
    assert "nobody vouches for this caller" in words(instance, run)


def test_production_is_open_to_whom_the_proxy_names(instance: DagsterInstance) -> None:
    run = submit(instance, "production", by=BY_DANA)
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags["flowmaster/asked-by"] == "dana"


def test_production_takes_no_backfill(instance: DagsterInstance) -> None:
    run = submit(instance, "production", tags={"dagster/backfill": "b1"}, by=BY_DANA)
    assert run.status is DagsterRunStatus.FAILURE
    assert "takes no backfills" in words(instance, run)


def test_a_run_over_a_range_of_environments_is_refused(instance: DagsterInstance) -> None:
    tags = {
        "dagster/asset_partition_range_start": "dev",
        "dagster/asset_partition_range_end": "production",
    }
    run = submit(instance, tags=tags, by=BY_DANA)
    assert run.status is DagsterRunStatus.FAILURE
    assert "one environment" in words(instance, run)


def test_the_same_occasion_twice_is_one_run(instance: DagsterInstance) -> None:
    first = submit(instance, tags=granted("o1"))
    second = submit(instance, tags=granted("o1"))
    assert first.status is DagsterRunStatus.QUEUED
    assert second.status is DagsterRunStatus.CANCELED
    assert first.run_id in words(instance, second)
    queued = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
    assert [run.run_id for run in queued] == [first.run_id]


def test_a_refused_run_claims_no_occasion(instance: DagsterInstance) -> None:
    run = submit(instance, "production", tags={"flowmaster/occasion": "ship:r1"})
    assert run.status is DagsterRunStatus.FAILURE
    assert run.tags["flowmaster/occasion"] == f"run:{run.run_id}"


def test_a_grant_is_good_for_one_submission(instance: DagsterInstance) -> None:
    first = submit(instance, "production", tags=granted("o1", "production"))
    instance.report_run_failed(first, "it failed")
    again = submit(instance, "production", tags=first.tags)
    assert again.status is DagsterRunStatus.FAILURE
    assert again.tags["flowmaster/asked-by"] == "anonymous"


def test_an_expired_grant_names_nobody(instance: DagsterInstance) -> None:
    run = submit(instance, "production", tags=granted("o1", "production", minutes=-1))
    assert run.status is DagsterRunStatus.FAILURE


def test_a_rollback_takes_no_lock(instance: DagsterInstance) -> None:
    run = submit(
        instance,
        "production",
        chapters=("deployment", "health"),
        form={"rollback_to": "previous"},
        by=BY_DANA,
    )
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags["flowmaster/purpose"] == "rollback"
    assert not [tag for tag in run.tags if tag.startswith("flowmaster/lock/")]


def test_an_order_to_a_canary_takes_no_lock(instance: DagsterInstance) -> None:
    form = {"canary": "abort", "reason": "it smells"}
    run = submit(instance, "production", chapters=("deployment",), form=form, by=BY_DANA)
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags["flowmaster/purpose"] == "canary"
    assert not [tag for tag in run.tags if tag.startswith("flowmaster/lock/")]


def of(commit: str) -> dict[str, str]:
    source = {
        "flowmaster/repository": "platform",
        "flowmaster/ref": "develop",
        "flowmaster/commit": commit,
    }
    return {**granted(f"dev:platform:develop@{commit}"), **source}


def test_a_queued_run_gives_way_to_a_newer_commit(instance: DagsterInstance) -> None:
    old = submit(instance, tags=of("c1"))
    new = submit(instance, tags=of("c2"))
    assert new.status is DagsterRunStatus.QUEUED
    reloaded = instance.get_run_by_id(old.run_id)
    assert reloaded is not None
    assert reloaded.status is DagsterRunStatus.CANCELED
    assert new.run_id in words(instance, reloaded)


def test_a_crashed_run_that_dagster_starts_again_keeps_its_asker(
    instance: DagsterInstance,
) -> None:
    first = submit(instance, "production", tags=granted("o1", "production"))
    instance.report_run_failed(first, "its process died")
    again = submit(instance, "production", tags=first.tags, parent=first.run_id)
    assert again.status is DagsterRunStatus.QUEUED
    assert asker_of(again, SEAL_KEY) == Asker("intake", Via.GRANT)


def test_a_crashed_run_does_not_come_back_behind_a_newer_commit(instance: DagsterInstance) -> None:
    old = submit(instance, tags=of("c1"))
    instance.report_run_failed(old, "its process died")
    new = submit(instance, tags=of("c2"))
    again = submit(instance, tags=old.tags, parent=old.run_id)
    assert again.status is DagsterRunStatus.CANCELED
    assert f"run {new.run_id} brought develop to c2 meanwhile" in words(instance, again)
    reloaded = instance.get_run_by_id(new.run_id)
    assert reloaded is not None
    assert reloaded.status is DagsterRunStatus.QUEUED


def test_a_person_who_executes_it_again_asks_for_themselves(instance: DagsterInstance) -> None:
    first = submit(instance, "production", by=BY_DANA)
    instance.report_run_failed(first, "it failed")

    run = instance.create_run_for_job(
        a_job(),
        tags=first.tags,
        remote_job_origin=ORIGIN,
        asset_selection=frozenset({AssetKey(["service-0", "deployment"])}),
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )
    again = instance.run_coordinator.submit_run(SubmitRunContext(run, asked()))
    assert again.status is DagsterRunStatus.FAILURE


@pytest.mark.parametrize("chapters", [("image", "promotion")])
def test_a_run_without_deployment_takes_no_lock(
    instance: DagsterInstance, chapters: tuple[str, ...]
) -> None:
    run = submit(instance, chapters=chapters)
    assert not [tag for tag in run.tags if tag.startswith("flowmaster/lock/")]
