"""The webserver of ours, with a real workspace: who may do what by GraphQL and by its other routes.

Whatever a new release of Dagster does differently shows here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance, DagsterRunStatus
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._core.workspace.permissions import Permissions
from dagster_graphql.schema import create_schema
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from flowmaster_delivery.defs import webserver as module
from flowmaster_delivery.defs.coordinator import DeliveryCoordinator
from flowmaster_delivery.defs.webserver import (
    GRANTED,
    DeliveryWorkspace,
    Doorman,
    mutations_in,
    ui,
)
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.policy.ui_rights import UiRight
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import open_catalog
from tests.builders import catalog_yaml
from tests.defs.conftest import SEAL_KEY, instance_at
from tests.fakes.fake_forge import FakeForge

GROUP = "group/operators"
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId status } } ... on Error { message } } }"""
NOT_YOURS = "UnauthorizedError"
SENSOR = (
    '{repositoryLocationName: "flowmaster", repositoryName: "__repository__", sensorName: "intake"}'
)
ASSET = '{path: ["service-0", "promotion"]}'
OF_RUNS = {
    "launchMultipleRuns",
    "launchPipelineExecution",
    "launchPipelineReexecution",
    "launchRun",
    "launchRunReexecution",
}
"""Judged by the coordinator."""
FOR_OPERATORS = {
    "cancelPartitionBackfill",
    "reloadRepositoryLocation",
    "reloadWorkspace",
    "resetSchedule",
    "resetSensor",
    "shutdownRepositoryLocation",
    "startSchedule",
    "startSensor",
    "stopRunningSchedule",
    "stopSensor",
    "terminatePipelineExecution",
    "terminateRun",
    "terminateRuns",
}
FOR_NOBODY = {
    "addDynamicPartition": (
        '(repositorySelector: {repositoryLocationName: "flowmaster", repositoryName: '
        '"__repository__"}, partitionsDefName: "environment", partitionKey: "x") { __typename }'
    ),
    "deleteAppManagedComponent": ('(locationName: "flowmaster", componentId: "x") { __typename }'),
    "deleteConcurrencyLimit": '(concurrencyKey: "pool")',
    "deleteDynamicPartitions": (
        '(repositorySelector: {repositoryLocationName: "flowmaster", repositoryName: '
        '"__repository__"}, partitionsDefName: "environment", partitionKeys: ["dev"]) '
        "{ __typename }"
    ),
    "deletePipelineRun": '(runId: "RUN") { __typename }',
    "deleteRun": '(runId: "RUN") { __typename }',
    "freeConcurrencySlots": '(runId: "RUN")',
    "freeConcurrencySlotsForRun": '(runId: "RUN")',
    "launchPartitionBackfill": (
        '(backfillParams: {partitionNames: ["dev"], assetSelection: '
        '[{path: ["service-0", "image"]}]}) { __typename }'
    ),
    "reexecutePartitionBackfill": (
        '(reexecutionParams: {parentRunId: "BACKFILL", strategy: ALL_STEPS}) { __typename }'
    ),
    "refreshComponentState": '(locationName: "flowmaster", defsStateKey: "x") { __typename }',
    "reportAssetCheckEvaluations": (
        f'(eventParams: {{assetKey: {ASSET}, checkName: "soak", passed: true}}) {{ __typename }}'
    ),
    "reportRunlessAssetEvents": (
        f"(eventParams: {{eventType: ASSET_MATERIALIZATION, assetKey: {ASSET}, "
        'partitionKeys: ["production"]}) { __typename }'
    ),
    "resumePartitionBackfill": '(backfillId: "BACKFILL") { __typename }',
    "scheduleDryRun": (
        '(selectorData: {repositoryLocationName: "flowmaster", repositoryName: '
        '"__repository__", scheduleName: "x"}, timestamp: 0) { __typename }'
    ),
    "sensorDryRun": f"(selectorData: {SENSOR}, cursor: null) {{ __typename }}",
    "setAppManagedComponent": (
        '(locationName: "flowmaster", componentId: "x", componentType: "x", attributes: "{}") '
        "{ __typename }"
    ),
    "setAutoMaterializePaused": "(paused: true)",
    "setConcurrencyLimit": '(concurrencyKey: "pool", limit: 5)',
    "setSensorCursor": f'(sensorSelector: {SENSOR}, cursor: "moved") {{ __typename }}',
    "wipeAssets": f"(assetPartitionRanges: [{{assetKey: {ASSET}}}]) {{ __typename }}",
}
HARMLESS = {"logTelemetry", "setNuxSeen"}


@dataclass
class Desk:
    """The UI's server, as whoever the proxy names reaches it."""

    client: TestClient
    instance: DagsterInstance
    forge: FakeForge

    def ask(self, query: str, by: str | None, **variables: object) -> Any:
        headers = {"X-Forwarded-User": by} if by else {}
        body = {"query": query, "variables": variables}
        answer = self.client.post("/graphql", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return next(iter(answer.json()["data"].values()))

    def launch(self, environment: str, by: str | None) -> Any:
        params = {
            "selector": {
                "repositoryLocationName": "flowmaster",
                "repositoryName": "__repository__",
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": ["service-0", c]} for c in ("image", "promotion")],
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": environment}]},
        }
        return self.ask(LAUNCH, by, p=params)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("webserver")
    (folder / "seal-key").write_text(SEAL_KEY)
    catalog = catalog_yaml(3).replace("tag: vX.Y.Z}", f"tag: vX.Y.Z}}, operators: {GROUP}")
    (folder / "catalog.yaml").write_text(catalog)
    environ = {
        "DAGSTER_HOME": str(folder),
        "FLOWMASTER_SEAL_KEY_FILE": str(folder / "seal-key"),
        "FLOWMASTER_CATALOG": str(folder / "catalog.yaml"),
        "FLOWMASTER_IDENTITY_HEADER": "X-Forwarded-User",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        yield from _served(folder)


def _served(folder: Path) -> Iterator[Desk]:
    settings, forge = Settings.from_environ(), FakeForge(groups={GROUP: {"sam"}})
    doorman = Doorman(settings, open_catalog(settings), forge)
    target = WorkspaceFileTarget([str(Path(__file__).parents[2] / "workspace.yaml")])
    with instance_at(folder / "instance") as instance:
        assert isinstance(instance.run_coordinator, DeliveryCoordinator)
        instance.run_coordinator.settings = settings
        instance.run_coordinator.forge = forge
        with (
            DeliveryWorkspace(instance, target, doorman) as workspace,
            TestClient(ui(workspace)) as client,
        ):
            yield Desk(client, instance, forge)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are read for each request, so that no test sees another's."""
    monkeypatch.setattr(module, "MEMBERS_LAST", 0.0)


def test_whoever_signed_in_submits_runs_in_their_own_name(desk: Desk) -> None:
    made = desk.launch("dev", "dana")
    assert made["__typename"] == "LaunchRunSuccess", made
    run = desk.instance.get_run_by_id(made["run"]["runId"])
    assert run is not None
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags["flowmaster/asked-by"] == "dana"


def test_production_is_the_coordinators_question(desk: Desk) -> None:
    for by, status in (("sam", DagsterRunStatus.QUEUED), ("dana", DagsterRunStatus.FAILURE)):
        run = desk.instance.get_run_by_id(desk.launch("production", by)["run"]["runId"])
        assert run is not None
        assert run.status is status


def test_a_request_without_a_name_submits_nothing(desk: Desk) -> None:
    before = desk.instance.get_runs_count()
    assert desk.launch("dev", None)["__typename"] == NOT_YOURS
    assert desk.launch("dev", "dana,eve")["__typename"] == NOT_YOURS
    assert desk.instance.get_runs_count() == before


TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } } }"""


def test_only_operators_terminate_runs(desk: Desk) -> None:
    run = desk.launch("dev", "dana")["run"]["runId"]
    for by in ("dana", None):
        assert desk.ask(TERMINATE, by, id=run) == {
            "__typename": "TerminateRunFailure",
            "message": "You do not have permission to terminate this run",
        }
    desk.forge.people_away = Unreachable("GitLab is away")
    try:
        assert "permission" in desk.ask(TERMINATE, "sam", id=run)["message"]
        assert desk.launch("dev", "sam")["__typename"] == "LaunchRunSuccess"
    finally:
        desk.forge.people_away = None
    assert desk.ask(TERMINATE, "sam", id=run)["__typename"] == "TerminateRunSuccess"


STOP = """mutation($id: String!) { stopSensor(id: $id) { __typename } }"""
FIND = f"""query {{ sensorOrError(sensorSelector: {SENSOR}) {{
  ... on Sensor {{ id sensorState {{ id }} }} }} }}"""


def test_only_operators_stop_a_sensor(desk: Desk) -> None:
    found = desk.ask(FIND, "dana")
    assert desk.ask(STOP, "dana", id=found["id"])["__typename"] == NOT_YOURS
    assert desk.ask(STOP, None, id=found["id"])["__typename"] == NOT_YOURS
    assert desk.ask(STOP, "sam", id=found["id"])["__typename"] == "StopSensorMutationResult"


@pytest.mark.parametrize("by", ["sam", "dana", None])
def test_what_would_change_the_record_is_for_nobody(desk: Desk, by: str | None) -> None:
    """Whatever the form of its answer: refused, and nothing is less or more than before."""
    key = AssetKey(["service-0", "promotion"])
    desk.instance.report_runless_asset_event(AssetMaterialization(key, partition="production"))
    run = desk.launch("dev", "dana")["run"]["runId"]
    before = _on_record(desk.instance, key)
    headers = {"X-Forwarded-User": by} if by else {}
    for name, arguments in FOR_NOBODY.items():
        query = f"mutation {{ {name}{arguments.replace('RUN', run)} }}"
        answer = desk.client.post("/graphql", json={"query": query}, headers=headers)
        body = answer.json()
        assert "Unauthorized" in answer.text or name in NOT_THERE, (name, body)
    reported = desk.client.post(
        "/report_asset_materialization/service-0/promotion?partition=production", headers=headers
    )
    assert reported.status_code == 401, reported.text
    assert _on_record(desk.instance, key) == before


NOT_THERE = {"reexecutePartitionBackfill", "resumePartitionBackfill"}
"""Look first for the backfill, of which there is none."""


def _on_record(instance: DagsterInstance, key: AssetKey) -> tuple[int, int, int, object]:
    records = instance.fetch_materializations(key, limit=100).records
    return (
        len(records),
        instance.get_runs_count(),
        len(instance.get_backfills()),
        instance.get_concurrency_config().pool_config,
    )


def test_somebody_decided_about_every_mutation_that_dagster_has() -> None:
    """One that is not here is new: look at what it does, and say here and in `GRANTED` whose."""
    schema = create_schema().graphql_schema.mutation_type
    assert schema is not None
    decided = (OF_RUNS, FOR_OPERATORS, set(FOR_NOBODY), HARMLESS)
    assert set(schema.fields) == set().union(*decided)
    assert sum(map(len, decided)) == len(schema.fields)


def test_a_permission_that_dagster_adds_is_for_nobody_at_first() -> None:
    granted = frozenset[Permissions]().union(*GRANTED.values())
    assert {p.value for p in Permissions if p not in granted} == {
        "delete_pipeline_run",
        "edit_app_managed_components",
        "edit_concurrency_limit",
        "edit_dynamic_partitions",
        "launch_partition_backfill",
        "refresh_component_state",
        "report_runless_asset_events",
        "schedule_dry_run",
        "sensor_dry_run",
        "toggle_auto_materialize",
        "update_sensor_cursor",
        "wipe_assets",
    }


def test_the_ui_is_told_what_it_may_offer(desk: Desk) -> None:
    query = "query { permissions { permission value disabledReason } }"
    for by, rights in (("sam", 2), ("dana", 1), (None, 0)):
        told = desk.ask(query, by)
        granted = [GRANTED[right] for right in list(UiRight)[:rights]]
        wanted = frozenset[Permissions]().union(*granted)
        assert {p["permission"] for p in told if p["value"]} == {p.value for p in wanted}
        assert all(p["disabledReason"] for p in told if not p["value"])


def test_a_foreign_pages_form_changes_nothing(desk: Desk) -> None:
    query = 'mutation { stopSensor(id: "x") { __typename } }'
    headers = {"X-Forwarded-User": "sam", "Sec-Fetch-Site": "same-site"}
    answer = desk.client.post("/graphql", params={"query": query}, headers=headers)
    assert answer.status_code == 403


def test_who_changes_what_is_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=module.__name__):
        desk.launch("dev", "dana")
        desk.ask("query { version }", "dana")
        desk.ask("mutation { reloadWorkspace { __typename } }", None)
    assert [record.getMessage() for record in caplog.records] == [
        "dana (proxy) asks for launchRun",
        "anonymous (unreadable) asks for reloadWorkspace",
    ]


def test_mutations_are_found_in_a_document() -> None:
    two = "mutation { a: stopSensor { x } reloadWorkspace { x } } query { version }"
    assert mutations_in(two) == ["stopSensor", "reloadWorkspace"]
    assert mutations_in("query { version }") == []
    assert mutations_in("mutation {") == []


class Doors:
    """A doorman, and how often GitLab was asked."""

    def __init__(self, tmp_path: Path, operators: str | None = GROUP, **variables: str) -> None:
        key, catalog = tmp_path / "key", tmp_path / "catalog.yaml"
        key.write_text(SEAL_KEY)
        text = catalog_yaml(1)
        if operators:
            text = text.replace("tag: vX.Y.Z}", f"tag: vX.Y.Z}}, operators: {operators}")
        catalog.write_text(text)
        settings = Settings.from_environ({"FLOWMASTER_CATALOG": str(catalog), **variables})
        self.forge = FakeForge(groups={GROUP: {"sam"}})
        self.doorman = Doorman(settings, open_catalog(settings), self.forge)

    def rights(self, *named: str) -> set[UiRight]:
        raw = [(b"x-forwarded-user", name.encode()) for name in named]
        return set(self.doorman.rights(SimpleNamespace(headers=Headers(raw=raw))))


PROXY = {"FLOWMASTER_IDENTITY_HEADER": "X-Forwarded-User"}


def test_members_are_read_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMBERS_LAST", 60.0)
    doors = Doors(tmp_path, **PROXY)
    assert doors.rights("sam") == set(UiRight)
    assert doors.rights("dana") == {UiRight.LAUNCH}
    assert doors.forge.calls == [f"members {GROUP}"]


def test_where_nobody_is_named_everybody_known_operates(tmp_path: Path) -> None:
    doors = Doors(tmp_path, operators=None, **PROXY)
    assert doors.rights("dana") == set(UiRight)
    assert doors.rights() == set()
    assert doors.forge.calls == []


def test_without_a_header_configured_a_name_is_not_believed(tmp_path: Path) -> None:
    assert Doors(tmp_path).rights("sam") == {UiRight.LAUNCH}
    assert Doors(tmp_path, FLOWMASTER_SANDBOX="1").rights("eve") == set(UiRight)
