"""What storing events costs on PostgreSQL: our storage beside Dagster's own, on one server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

from dagster import AssetMaterialization, DagsterInstance, DagsterRun, job

from benchmarks.figures import Figure
from tests.postgres import PASSWORD, Postgres, a_server

THREADS, EVENTS = 22, 8
"""Steps of a run, and what each of them says; one in four is a materialization."""


@job
def a_job() -> None:
    """Events want a run."""


def measure() -> Iterator[Figure]:
    with a_server() as server:
        theirs = _rate(_theirs(server))
        ours = _rate(server.overrides(server.database()))
    yield Figure("postgres_events", ours, "events/s", None, f"{THREADS} threads of a run")
    yield Figure("postgres_events_plain", theirs, "events/s", None, "the same by Dagster's own")
    yield Figure("postgres_event_time", theirs / ours, "share", 0.5, "of what Dagster's own takes")


def _theirs(server: Postgres) -> dict[str, Any]:
    config = server.config(server.database(), password=PASSWORD, scheme="postgresql+psycopg2")
    del config["password_file"]
    return {"storage": {"postgres": {"postgres_db": config}}, "telemetry": {"enabled": False}}


def _rate(overrides: dict[str, Any]) -> float:
    with (
        TemporaryDirectory() as folder,
        DagsterInstance.local_temp(folder, overrides) as instance,
    ):
        run = instance.create_run_for_job(a_job)
        said = [threading.Thread(target=_say, args=(instance, run, n)) for n in range(THREADS)]
        began = time.perf_counter()
        for thread in said:
            thread.start()
        for thread in said:
            thread.join()
        seconds = time.perf_counter() - began
        found = len(instance.all_logs(run.run_id))
        if found != THREADS * EVENTS * 3 // 4:
            raise RuntimeError(f"{found} events are there")
        return THREADS * EVENTS / seconds


def _say(instance: DagsterInstance, run: DagsterRun, number: int) -> None:
    for turn in range(EVENTS):
        if turn % 4:
            instance.report_engine_event(f"{number} {turn}", run)
        else:
            made = AssetMaterialization(f"service-{number}", partition="dev")
            instance.report_runless_asset_event(made)
