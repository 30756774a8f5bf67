"""The thread executor against the installed Dagster: what a new release could break."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Semaphore
from typing import Any

import pytest
from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    DagsterEventType,
    DagsterInstance,
    Definitions,
    Failure,
    RetryPolicy,
    asset,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from flowmaster_delivery.defs.executor import state_of, thread_executor


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


Body = Callable[[AssetExecutionContext], None]


def an_asset(name: str, body: Body, deps: list[str] | None = None, **more: Any) -> AssetsDefinition:
    def compute(context: AssetExecutionContext) -> None:
        body(context)

    made = asset(name=name, deps=deps or [], **more)(compute)
    assert isinstance(made, AssetsDefinition)
    return made


def run(
    instance: DagsterInstance,
    assets: list[AssetsDefinition],
    waves: Mapping[str, int] | None = None,
) -> tuple[str, list[str]]:
    """Status of the run and the keys of the steps that succeeded, in order."""
    executor = thread_executor(
        lambda _, keys: {k: w for k, w in (waves or {}).items() if k in keys}
    )
    job = Definitions(assets=assets, executor=executor).resolve_implicit_global_asset_job_def()
    dagster_run = instance.create_run_for_job(job)
    events = list(execute_run_iterator(InMemoryJob(job), dagster_run, instance))
    done = [e.step_key or "" for e in events if e.event_type is DagsterEventType.STEP_SUCCESS]
    found = instance.get_run_by_id(dagster_run.run_id)
    assert found is not None
    return found.status.value, done


def nothing(context: AssetExecutionContext) -> None:
    return


def fail(context: AssetExecutionContext) -> None:
    raise Failure("it broke", allow_retries=False)


def test_steps_wait_side_by_side(instance: DagsterInstance) -> None:
    together = threading.Barrier(10, timeout=20)
    assets = [an_asset(f"a{n}", lambda _: void(together.wait())) for n in range(10)]
    status, done = run(instance, assets)
    assert status == "SUCCESS"
    assert len(done) == 10


def test_a_failure_stops_only_what_stands_on_it(instance: DagsterInstance) -> None:
    assets = [
        an_asset("bad", fail),
        an_asset("after_bad", nothing, ["bad"]),
        an_asset("good", nothing),
        an_asset("after_good", nothing, ["good"]),
    ]
    status, done = run(instance, assets)
    assert status == "FAILURE"
    assert sorted(done) == ["after_good", "good"]


def test_a_retry_policy_is_honoured_and_a_permanent_failure_ends_it(
    instance: DagsterInstance,
) -> None:
    tries: list[str] = []

    def third_time(context: AssetExecutionContext) -> None:
        tries.append("flaky")
        if tries.count("flaky") < 3:
            raise RuntimeError("not yet")

    def permanent(context: AssetExecutionContext) -> None:
        tries.append("permanent")
        raise Failure("never", allow_retries=False)

    policy = RetryPolicy(max_retries=3, delay=0.05)
    assets = [
        an_asset("flaky", third_time, retry_policy=policy),
        an_asset("permanent", permanent, retry_policy=policy),
    ]
    _, done = run(instance, assets)
    assert done == ["flaky"]
    assert tries.count("flaky") == 3
    assert tries.count("permanent") == 1


def test_a_later_wave_starts_when_the_earlier_one_has_ended(instance: DagsterInstance) -> None:
    order: list[str] = []

    def slow(context: AssetExecutionContext) -> None:
        time.sleep(0.2)
        order.append("first")

    assets = [an_asset("first", slow), an_asset("second", lambda _: order.append("second"))]
    status, _ = run(instance, assets, {"first": 0, "second": 1})
    assert status == "SUCCESS"
    assert order == ["first", "second"]


def test_a_step_knows_which_steps_of_earlier_waves_failed(instance: DagsterInstance) -> None:
    known: list[tuple[str, ...]] = []

    def look(context: AssetExecutionContext) -> None:
        known.append(state_of(context.run.run_id).failed_before("later"))

    assets = [
        an_asset("broken", fail),
        an_asset("fine", nothing),
        an_asset("unreached", nothing, ["broken"]),
        an_asset("later", look),
    ]
    run(instance, assets, {"broken": 0, "fine": 0, "unreached": 0, "later": 1})
    assert known == [("broken", "unreached")]


def test_a_run_that_is_terminated_asks_its_steps_to_end(instance: DagsterInstance) -> None:
    seen: list[bool] = []

    def wait_for_the_flag(context: AssetExecutionContext) -> None:
        context.instance.report_run_canceling(context.run)
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(state_of(context.run.run_id).cancelled.wait(10))

    assets = [
        an_asset("waits", wait_for_the_flag),
        an_asset("never", nothing, ["waits"]),
    ]
    status, done = run(instance, assets)
    assert seen == [True]
    assert status == "CANCELED"
    assert "never" not in done


@pytest.mark.parametrize(
    ("said", "becomes"),
    [("report_run_canceling", "CANCELED"), ("report_run_failed", "FAILURE")],
    ids=["it shall end", "it has failed"],
)
def test_a_run_whose_record_says_that_it_has_ended_or_shall_asks_its_steps_to_end(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, said: str, becomes: str
) -> None:
    monkeypatch.setattr("flowmaster_delivery.defs.executor.RECORD_LOOK", 0.05)
    seen: list[bool] = []

    def wait_for_the_flag(context: AssetExecutionContext) -> None:
        getattr(context.instance, said)(context.run)
        seen.append(state_of(context.run.run_id).cancelled.wait(20))

    assets = [an_asset("waits", wait_for_the_flag), an_asset("never", nothing, ["waits"])]
    status, done = run(instance, assets)
    assert seen == [True]
    assert status == becomes
    assert "never" not in done


def test_a_run_whose_record_cannot_be_read_goes_on(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowmaster_delivery.defs.executor.RECORD_LOOK", 0.0)
    found, looks = instance.get_run_by_id, Semaphore(0)

    def away(run_id: str) -> Any:
        if threading.current_thread() is threading.main_thread() and waiting and not done:
            looks.release()
            raise ConnectionError("the database is away")
        return found(run_id)

    waiting: list[bool] = []
    done: list[bool] = []

    def wait_for_looks(context: AssetExecutionContext) -> None:
        waiting.append(True)
        for _ in range(3):
            assert looks.acquire(timeout=20)
        assert not state_of(context.run.run_id).cancelled.is_set()
        done.append(True)

    monkeypatch.setattr(instance, "get_run_by_id", away)
    status, _ = run(instance, [an_asset("works", wait_for_looks)])
    assert (status, done) == ("SUCCESS", [True])


def void(_: object) -> None:
    return
