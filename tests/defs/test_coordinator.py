"""The coordinator on a real instance: what a submitted run becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
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
from flowmaster_delivery.defs.submissions import voucher_of
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


@pytest.mark.parametrize("environment", ["dev", "production"])
@pytest.mark.parametrize(
    "tag",
    ["dagster-k8s/config", "dagster-k8s/resource_requirements", "dagster-docker/container_kwargs"],
)
def test_a_run_that_says_how_its_pod_is_made_is_refused(
    instance: DagsterInstance, environment: str, tag: str
) -> None:
    pod = '{"pod_spec_config": {"service_account_name": "admin"}}'
    run = submit(instance, environment, tags={tag: pod}, by=BY_DANA)
    assert run.status is DagsterRunStatus.FAILURE
    assert f"how a run's pod is made ({tag})" in words(instance, run)
    assert "flowmaster/voucher" not in run.tags


def test_such_a_run_is_refused_when_it_is_executed_again_too(instance: DagsterInstance) -> None:
    first = submit(instance, by=BY_DANA)
    instance.report_run_failed(first, "its process died")
    tags = {**first.tags, "dagster-k8s/config": "{}"}
    again = submit(instance, tags=tags, parent=first.run_id)
    assert again.status is DagsterRunStatus.FAILURE
    assert "how a run's pod is made" in words(instance, again)


def test_the_voucher_names_the_environment(instance: DagsterInstance) -> None:
    for environment in ("dev", "production"):
        run = submit(instance, environment, by=BY_DANA)
        found = voucher_of(run, SEAL_KEY)
        assert found is not None
        assert (found.run_id, found.environment) == (run.run_id, environment)


def test_a_run_that_selects_everything_works_on_one_environment(instance: DagsterInstance) -> None:
    run = everything(instance, {"dagster/partition": "dev"})
    assert run.status is DagsterRunStatus.QUEUED
    assert {tag for tag in run.tags if tag.startswith("flowmaster/lock/")} == {
        f"flowmaster/lock/service-{n}" for n in range(3)
    }
    found = voucher_of(run, SEAL_KEY)
    assert found is not None
    assert found.environment == "dev"


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"dagster/partition": "nowhere"},
        {
            "dagster/partition": "dev",
            "dagster/asset_partition_range_start": "dev",
            "dagster/asset_partition_range_end": "production",
        },
    ],
    ids=["none", "unknown", "a range beside a partition"],
)
def test_a_run_that_selects_everything_is_refused_in_any_other_number(
    instance: DagsterInstance, tags: dict[str, str]
) -> None:
    run = everything(instance, tags)
    assert run.status is DagsterRunStatus.FAILURE
    assert "flowmaster/voucher" not in run.tags


def everything(instance: DagsterInstance, tags: Mapping[str, str]) -> DagsterRun:
    """A run without a selection, asked for by dana."""
    run = instance.create_run_for_job(a_job(), tags=tags, remote_job_origin=ORIGIN)
    return instance.run_coordinator.submit_run(SubmitRunContext(run, BY_DANA))


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


def test_a_crashed_run_does_not_come_back_in_another_environment(
    instance: DagsterInstance,
) -> None:
    first = submit(instance, "dev", by=BY_DANA)
    instance.report_run_failed(first, "its process died")
    tags = {**first.tags, "dagster/partition": "production"}
    again = submit(instance, "production", tags=tags, parent=first.run_id)
    assert again.status is DagsterRunStatus.FAILURE
    assert "nobody vouches for this caller" in words(instance, again)


def test_a_crashed_run_of_several_environments_does_not_come_back(
    instance: DagsterInstance,
) -> None:
    first = submit(instance, "dev", by=BY_DANA)
    instance.report_run_failed(first, "its process died")
    ranged = {
        "dagster/asset_partition_range_start": "dev",
        "dagster/asset_partition_range_end": "production",
    }
    again = submit(instance, tags={**first.tags, **ranged}, parent=first.run_id)
    assert again.status is DagsterRunStatus.FAILURE
    assert "one environment" in words(instance, again)


def test_what_was_refused_is_not_submitted_again_by_dagster(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    overrides = {
        "run_coordinator": {
            "module": "flowmaster_delivery.defs.coordinator",
            "class": "DeliveryCoordinator",
        },
        "run_retries": {"enabled": True, "max_retries": 2},
        "telemetry": {"enabled": False},
    }
    with DagsterInstance.local_temp(str(tmp_path), overrides) as instance:
        refused = instance.get_run_by_id(submit(instance, "production").run_id)
        tags = {"dagster/max_retries": "0"}  # of a refused run that a person executes again
        crashed = submit(instance, tags=tags, by=BY_DANA)
        instance.report_run_failed(crashed, "its process died")
        crashed = instance.get_run_by_id(crashed.run_id)
    assert refused is not None
    assert crashed is not None
    assert refused.tags["dagster/will_retry"] == "false"
    assert crashed.tags["dagster/will_retry"] == "true"


def test_a_crashed_run_does_not_come_back_behind_a_newer_commit(
    instance: DagsterInstance,
) -> None:
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
