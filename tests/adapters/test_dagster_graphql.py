"""The launcher: queries that Dagster understands, runs that are launched once, reasons in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from flowmaster_delivery.adapters.dagster_graphql import GraphqlLauncher
from flowmaster_delivery.adapters.dagster_queries import QUERIES
from flowmaster_delivery.adapters.dagster_reasons import reasons_of
from flowmaster_delivery.model.errors import Malformed, NotFound, Permanent, Refused, Unreachable
from flowmaster_delivery.model.seal import Grant
from flowmaster_delivery.ports import RunOrder, RunReason
from tests.fakes.far_end import FarEnd, Reply

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = "a key that nobody guesses"
ORDER = RunOrder(
    environment="production",
    assets=(("api-gateway", "image"), ("api-gateway", "promotion")),
    occasion="promote:1",
    form={"version": "v1.2.3", "ship": True},
    tags={"flowmaster/version": "v1.2.3"},
)
LOCATION = {
    "repositoriesOrError": {
        "__typename": "RepositoryConnection",
        "nodes": [{"name": "__repository__", "location": {"name": "delivery"}}],
    }
}


def a_run(state: str = "QUEUED", **tags: str) -> dict[str, Any]:
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    return {"runId": "r1", "status": state, "tags": pairs}


def runs(*found: dict[str, Any]) -> dict[str, Any]:
    return {"runsOrError": {"__typename": "Runs", "results": list(found)}}


def launched(**answer: Any) -> dict[str, Any]:
    return {"launchRun": {"__typename": "LaunchRunSuccess", "run": a_run(), **answer}}


@pytest.fixture
def dagster() -> Iterator[FarEnd]:
    end = FarEnd()
    yield end
    end.close()


@pytest.fixture
def launcher(dagster: FarEnd) -> GraphqlLauncher:
    return GraphqlLauncher(dagster.url, lambda: KEY, lambda: NOW)


def answers(dagster: FarEnd, *data: dict[str, Any]) -> None:
    dagster.say("/graphql", *(Reply({"data": one}) for one in data), method="POST")


def asked(dagster: FarEnd) -> list[dict[str, Any]]:
    return [json.loads(one.body)["variables"] for one in dagster.asked]


@pytest.mark.parametrize("query", QUERIES)
def test_the_installed_dagster_understands_every_query(query: str) -> None:
    """Its GraphQL has no contract: a new release that breaks one shows here."""
    assert validate(create_schema().graphql_schema, parse(query)) == []


def test_an_order_is_launched_with_assets_form_and_a_grant(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    answers(dagster, runs(), LOCATION, launched())
    run = launcher.launch(ORDER, "sam")
    params = asked(dagster)[-1]["params"]
    tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
    grant = Grant.opened(KEY, tags["flowmaster/grant"])
    assert (run.id, run.state, run.url) == ("r1", "QUEUED", f"{dagster.url}/runs/r1")
    assert params["selector"]["repositoryLocationName"] == "delivery"
    assert params["selector"]["assetSelection"] == [
        {"path": ["api-gateway", "image"]},
        {"path": ["api-gateway", "promotion"]},
    ]
    assert params["runConfigData"] == {
        "resources": {"form": {"config": {"version": "v1.2.3", "ship": True}}}
    }
    assert (tags["dagster/partition"], tags["flowmaster/version"]) == ("production", "v1.2.3")
    assert grant == Grant("sam", "promote:1", "production", NOW + timedelta(minutes=5))


def test_an_occasion_that_has_its_run_is_not_launched_again(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    answers(dagster, runs(a_run("STARTED")))
    assert launcher.launch(ORDER, "sam").state == "STARTED"
    assert len(dagster.asked) == 1


def test_a_run_that_was_called_off_does_not_stand_for_its_occasion(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    answers(dagster, runs(a_run("CANCELED")))
    assert launcher.find("promote:1") is None


def test_of_an_occasion_submitted_twice_the_run_that_was_taken_on_counts(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    answers(dagster, runs(a_run("NOT_STARTED"), {**a_run("QUEUED"), "runId": "r0"}))
    found = launcher.find("promote:1")
    assert found is not None
    assert found.id == "r0"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"__typename": "UnauthorizedError", "message": "no"}, Refused, "read-only"),
        ({"__typename": "PythonError", "message": "boom"}, Unreachable, "boom"),
        ({"__typename": "InvalidSubsetError", "message": "no asset"}, Permanent, "no asset"),
        (
            {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "shp?"}]},
            Permanent,
            "shp\\?",
        ),
    ],
)
def test_a_refused_launch_says_why(
    dagster: FarEnd,
    launcher: GraphqlLauncher,
    answer: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    answers(dagster, runs(), LOCATION, {"launchRun": answer})
    with pytest.raises(error, match=words):
        launcher.launch(ORDER, "sam")


def test_without_a_code_location_nothing_is_launched(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    empty = {"repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": []}}
    answers(dagster, runs(), empty)
    with pytest.raises(Unreachable, match="no code location"):
        launcher.launch(ORDER, "sam")


def test_a_failed_list_of_runs_is_not_an_empty_one(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    answers(dagster, {"runsOrError": {"__typename": "PythonError", "message": "locked"}})
    with pytest.raises(Unreachable, match="locked"):
        launcher.launch(ORDER, "sam")


def test_a_finished_run_tells_its_steps_and_its_reasons(
    dagster: FarEnd, launcher: GraphqlLauncher
) -> None:
    steps = [{"stepKey": "api_gateway__promotion", "status": "FAILURE"}]
    run = {"runOrError": {"__typename": "Run", **a_run("FAILURE"), "stepStats": steps}}
    first = {"events": [closed("soak", "31 h of 48 h")], "cursor": "7", "hasMore": True}
    second = {"events": [closed("approvals", "1 of 2")], "cursor": "9", "hasMore": False}
    answers(dagster, run, {"logsForRun": first}, {"logsForRun": second})
    found = launcher.run("r1")
    assert found.finished
    assert found.steps == {"api_gateway/promotion": "FAILURE"}
    assert [(r.check, r.message) for r in found.reasons] == [
        ("soak", "31 h of 48 h"),
        ("approvals", "1 of 2"),
    ]
    assert asked(dagster)[-1]["after"] == "7"


def test_links_lead_to_where_people_reach_the_webserver(dagster: FarEnd) -> None:
    answers(dagster, {"runOrError": {"__typename": "Run", **a_run()}})
    launcher = GraphqlLauncher(dagster.url, lambda: KEY, lambda: NOW, ui_url="https://ui.example/")
    assert launcher.run("r1").url == "https://ui.example/runs/r1"


def test_a_run_that_is_not_there_is_named(dagster: FarEnd, launcher: GraphqlLauncher) -> None:
    answers(dagster, {"runOrError": {"__typename": "RunNotFoundError", "message": ""}})
    with pytest.raises(NotFound, match="no run r9"):
        launcher.run("r9")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=503), Unreachable),
        (Reply(hang_up=True), Unreachable),
        (Reply(b"<html>"), Malformed),
        (Reply({"errors": [{"message": "no such field"}]}), Malformed),
    ],
)
def test_a_webserver_that_misbehaves_is_told_apart(
    dagster: FarEnd, launcher: GraphqlLauncher, reply: Reply, error: type[Exception]
) -> None:
    dagster.say("/graphql", reply, method="POST")
    with pytest.raises(error):
        launcher.find("promote:1")


def closed(check: str, words: str, *, success: bool = False) -> dict[str, Any]:
    return {
        "__typename": "AssetCheckEvaluationEvent",
        "evaluation": {
            "checkName": check,
            "success": success,
            "description": words,
            "assetKey": {"path": ["api-gateway", "promotion"]},
        },
    }


def failed_step(class_name: str, message: str, described: str | None = None) -> dict[str, Any]:
    return {
        "__typename": "ExecutionStepFailureEvent",
        "stepKey": "api_gateway__deployment",
        "failureMetadata": {"description": described},
        "error": {"className": class_name, "message": message, "causes": []},
    }


def test_a_closed_gate_is_told_by_its_checks_and_not_by_its_step() -> None:
    events = [
        closed("soak", "31 h of 48 h"),
        closed("hold", "not held", success=True),
        failed_step("DagsterAssetCheckFailedError", "1 blocking asset check failed"),
    ]
    assert reasons_of(events) == (RunReason("api-gateway", "promotion", "soak", "31 h of 48 h"),)


def test_a_failed_step_is_told_by_its_own_words() -> None:
    described = failed_step("Failure", "dagster.Failure: x", "pod p-1: CrashLoopBackOff")
    bare = failed_step("ValueError", "ValueError: no such thing\n")
    assert [reason.message for reason in reasons_of([described, bare])] == [
        "pod p-1: CrashLoopBackOff",
        "no such thing",
    ]


def test_a_run_without_any_step_is_told_by_its_last_words() -> None:
    event = {"__typename": "RunCanceledEvent", "message": "a newer commit came", "error": None}
    assert reasons_of([event]) == (RunReason("", "", "", "a newer commit came"),)
