"""What a checkup reads of Dagster: queries that it understands, and its storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from flowmaster_delivery.adapters.dagster_checkup import (
    QUERIES,
    DagsterWebserver,
    InstanceStorage,
    storage_errors,
)
from flowmaster_delivery.adapters.wire import Patience
from flowmaster_delivery.model.errors import Malformed, NotFound, Unreachable
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.far_end import FarEnd, Reply

VERSION = {"version": "1.13.27"}
DAEMONS = {
    "instance": {
        "daemonHealth": {
            "allDaemonStatuses": [
                {"daemonType": "SENSOR", "required": True, "healthy": True},
                {"daemonType": "QUEUED_RUN_COORDINATOR", "required": True, "healthy": False},
                {"daemonType": "BACKFILL", "required": False, "healthy": False},
            ]
        }
    }
}


def workspace(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"workspaceOrError": {"__typename": "Workspace", "locationEntries": list(entries)}}


def entry(name: str, status: str = "LOADED", trouble: str = "") -> dict[str, Any]:
    error = {"__typename": "PythonError", "message": trouble}
    loaded = {"__typename": "RepositoryLocation"} if status == "LOADED" else None
    return {"name": name, "loadStatus": status, "locationOrLoadError": error if trouble else loaded}


@pytest.fixture
def dagster() -> Iterator[FarEnd]:
    end = FarEnd()
    yield end
    end.close()


@pytest.fixture
def webserver(dagster: FarEnd) -> Iterator[DagsterWebserver]:
    door = DagsterWebserver(dagster.url, timeout=5, patience=Patience(attempts=1))
    yield door
    door.close()


def answers(dagster: FarEnd, *data: object) -> None:
    replies = [Reply({"data": one}) for one in data]
    dagster.say("/graphql", *replies, method="POST")


@pytest.mark.parametrize("query", QUERIES)
def test_the_installed_dagster_understands_every_query(query: str) -> None:
    assert validate(create_schema().graphql_schema, parse(query)) == []


def test_locations_and_the_daemons_that_must_run_are_told(
    dagster: FarEnd, webserver: DagsterWebserver
) -> None:
    found = workspace(entry("ours"), entry("broken", trouble="no module"), entry("late", "LOADING"))
    answers(dagster, VERSION, found, DAEMONS)
    facts = webserver.facts()
    assert facts.version == "1.13.27"
    assert facts.locations == {
        "ours": "",
        "broken": "it cannot be loaded: no module",
        "late": "it is still being loaded",
    }
    assert facts.daemons == {"SENSOR": True, "QUEUED_RUN_COORDINATOR": False}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=502), Unreachable),
        (Reply(status=404), NotFound),
        (Reply(b"<html>"), Malformed),
        (Reply({"errors": [{"message": "no such field"}]}), Malformed),
        (Reply(hang_up=True), Unreachable),
    ],
    ids=["ill", "elsewhere", "no JSON", "an older one", "silent"],
)
def test_what_is_no_answer_of_dagster_is_an_error(
    dagster: FarEnd, webserver: DagsterWebserver, reply: Reply, error: type[Exception]
) -> None:
    dagster.say("/graphql", reply, method="POST")
    with pytest.raises(error, match="Dagster's webserver"):
        webserver.facts()


def test_a_workspace_that_cannot_be_read_says_why(
    dagster: FarEnd, webserver: DagsterWebserver
) -> None:
    trouble = {"workspaceOrError": {"__typename": "PythonError", "message": "no such file"}}
    answers(dagster, VERSION, trouble)
    with pytest.raises(Unreachable, match="cannot read its workspace: no such file"):
        webserver.facts()


def test_a_storage_tells_its_revisions_and_gives_back_what_it_is_given(tmp_path: Path) -> None:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = InstanceStorage(instance, FakeAudit())
        facts = storage.facts()
        assert set(facts.revisions) == {"runs", "events", "schedules"}
        assert all(have and have == newest for have, newest in facts.revisions.values())
        storage.write_and_read()
        storage.write_and_read()


def test_whatever_a_database_raises_is_an_error_of_ours() -> None:
    with pytest.raises(Unreachable, match="no usable answer: it is full"), storage_errors():
        raise RuntimeError("it is full")
    with pytest.raises(NotFound), storage_errors():
        raise NotFound("as it was")
