"""`flowmaster retain`, as a CronJob calls it, on an instance of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dagster import DagsterEventType, DagsterInstance

from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.sandbox.hosting import bind, port_of
from flowmaster_delivery.settings import Settings
from tests.adapters.test_dagster_history import AN_IMAGE
from tests.builders import catalog_yaml
from tests.defs.conftest import SEAL_KEY
from tests.defs.test_retention import launched

CATALOG = catalog_yaml(1).replace("repositories:", "retention: {runs: 0s, jobs: 0s}\nrepositories:")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one run that was called off, and one record."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(
        "event_log_storage:\n  module: flowmaster_delivery.defs.event_log\n  class: EventLog\n"
        f"  config: {{base_dir: {folder / 'events'}}}\ntelemetry: {{enabled: false}}\n"
    )
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "seal-key").write_text(SEAL_KEY)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with DagsterInstance.get() as instance:
        launched(instance, DagsterEventType.RUN_CANCELED)
        DagsterHistory(instance, SEAL_KEY).record(AN_IMAGE)
    return folder


@pytest.fixture
def variables(home: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "DAGSTER_HOME": str(home),
        "FLOWMASTER_CATALOG": str(tmp_path / "catalog.yaml"),
        "FLOWMASTER_SEAL_KEY_FILE": str(tmp_path / "seal-key"),
    }


@pytest.fixture
def instance(home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.get() as opened:
        yield opened


def run(variables: dict[str, str], *words: str) -> Result:
    session = Session(Settings.from_environ(variables))
    return CliRunner().invoke(main, ["retain", *words], obj=session)


def lines(result: Result) -> list[list[str]]:
    return [line.split(maxsplit=3) for line in result.stdout.splitlines()]


def test_what_went_and_what_stays_is_told_with_its_reason(
    variables: dict[str, str], instance: DagsterInstance
) -> None:
    told = run(variables)
    assert told.exit_code == 0, told.output
    assert lines(told) == [
        ["what", "number", "why"],
        ["ticks", "removed", "0", "older than dagster.yaml keeps them"],
        ["runs", "removed", "1", "called off before they began"],
        ["heartbeats", "removed", "0", "looks at which nothing had changed"],
    ]
    assert instance.get_runs() == []
    assert DagsterHistory(instance, SEAL_KEY).images("api-gateway", "dev") == (AN_IMAGE,)


def test_a_dry_run_removes_nothing(variables: dict[str, str], instance: DagsterInstance) -> None:
    told = run(variables, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "would go  1       called off before they began" in told.stdout
    assert len(instance.get_runs()) == 1


def test_machines_get_a_list(variables: dict[str, str]) -> None:
    told = json.loads(run(variables, "--json").stdout)
    assert {"what": "runs", "why": "called off before they began", "count": 1, "removed": True} in (
        told
    )


def test_a_cluster_that_is_away_does_not_hold_up_the_rest_and_has_status_3(
    variables: dict[str, str], instance: DagsterInstance, tmp_path: Path
) -> None:
    with bind() as free:
        cluster = {"server": f"http://127.0.0.1:{port_of(free)}"}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    away = {**variables, "FLOWMASTER_KUBECONFIG": str(tmp_path / "kubeconfig")}
    told = run(away, "--jobs-namespace", "flowmaster")
    assert told.exit_code == 3, told.output
    assert "/namespaces/flowmaster/jobs" in told.stderr
    assert instance.get_runs() == []
    assert "jobs " not in told.stdout


def test_a_catalog_that_would_take_from_a_soak_what_it_counts_is_refused(
    variables: dict[str, str], instance: DagsterInstance
) -> None:
    file = Path(variables["FLOWMASTER_CATALOG"])
    file.write_text(CATALOG.replace("{runs: 0s,", "{runs: 0s, heartbeats: 10d,"))
    told = run(variables)
    assert told.exit_code == 1
    assert "is shorter than the 15d that the soak of 'dev' looks back" in told.stderr
    assert len(instance.get_runs()) == 1


def test_a_database_that_is_broken_has_status_3(variables: dict[str, str], home: Path) -> None:
    for file in home.rglob("runs.db"):
        file.write_bytes(b"no database" * 1_000)
    told = run(variables)
    assert told.exit_code == 3, told.output
    assert "the database of Dagster gives no answer" in told.stderr
