"""`status` and `plan`: what people and machines read."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from rich.console import Console

from flowmaster_delivery.cli.status import print_matrix
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import Hold
from tests.cli.conftest import Shell
from tests.fakes.office import START

FIELDS = {"service", "environment", "version", "digest", "health", "hold", "since"}


def test_status_for_machines_has_a_row_for_each_service_and_environment(shell: Shell) -> None:
    record = shell.office.deployed("service-0", "production", "v1.0.0")
    result = shell.run("status", "--json")
    rows = json.loads(result.stdout)
    assert result.exit_code == 0
    assert len(rows) == 9
    assert all(row.keys() >= FIELDS for row in rows)
    found = {(row["service"], row["environment"]): row for row in rows}
    there, nothing = found["service-0", "production"], found["service-1", "dev"]
    assert (there["version"], there["digest"]) == ("v1.0.0", record.digest)
    assert there["since"].startswith("2026-03-02T09:00:00")
    assert [nothing[name] for name in ("version", "digest", "health", "hold", "since")] == [
        None
    ] * 5


def test_status_for_people_fits_100_columns_and_says_what_is_wrong(shell: Shell) -> None:
    history = shell.office.history
    for service in shell.office.catalog.services:
        for environment in shell.office.catalog.environments:
            shell.office.deployed(service, environment, "v10.20.30")
    history.record(Hold("h1", "service-0", "production", "sam", "smells", START))
    history.record(HealthObservation("service-1", "dev", HealthState.DEGRADED, None, None, START))
    result = shell.run("status")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert all(len(line) <= 100 for line in lines)
    assert lines[0].split() == ["service", "dev", "staging", "production"]
    assert "✗" in next(line for line in lines if line.startswith("service-1"))
    assert "⏸" in next(line for line in lines if line.startswith("service-0"))
    assert "service-0 in production is held by sam: smells (h1)" in result.stdout


def test_an_environment_that_is_held_as_a_whole_is_said_once(shell: Shell) -> None:
    history = shell.office.history
    history.record(Hold("h1", "*", "production", "flowmaster", "its rollback failed", START))
    history.record(Hold("h2", "service-0", "dev", "flowmaster", "bad", START, fingerprint="f"))
    said = shell.run("status").stdout
    whole = "everything in production is held by flowmaster: its rollback failed (h1)"
    assert said.count("its rollback failed") == 1
    assert whole in said
    assert "service-0 in dev has one source held by flowmaster: bad (h2)" in said


def test_a_narrow_terminal_shows_no_digest_beside_a_version(shell: Shell) -> None:
    for environment in ("dev", "staging", "production"):
        shell.office.deployed("service-0", environment, "v10.20.30")
    shell.office.history.record(Hold("h1", "service-0", "staging", "sam", "smells", START))
    console = Console(width=80, record=True, file=StringIO())
    rows = json.loads(shell.run("status", "--json").stdout)
    print_matrix(console, rows, START)
    (line,) = [x for x in console.export_text().splitlines() if x.startswith("service-0 ")]
    assert line.count("v10.20.30") == 3
    assert line.count("⏸") == 1
    assert "…" not in line


def test_plan_says_every_unmet_reason_and_fails(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    result = shell.run("plan", "production", "v1.2.3")
    assert result.exit_code == 1
    assert "platform@v1.2.3 (c1000000) to production" in result.stdout
    for gate in ("soak", "approvals", "upstream_healthy"):
        assert f"✗ {gate}:" in result.stdout


def test_plan_names_a_reason_once_with_the_services_that_it_keeps_back(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    result = shell.run("plan", "production", "v1.2.3", "--service", "service-0")
    both = shell.run("plan", "production", "v1.2.3")
    assert result.stdout.count("✗ approvals:") == 1
    assert both.stdout.count("✗ approvals:") == 1
    assert "service-0, service-1, service-2" in both.stdout


def test_plan_for_machines_tells_running_and_candidate(shell: Shell) -> None:
    release = shell.office.release("v1.2.3")
    shell.office.deployed("service-0", "production", "v1.0.0", START - timedelta(days=9))
    result = shell.run("plan", "production", "v1.2.3", "--json", "--service", "service-0")
    answer = json.loads(result.stdout)
    (row,) = answer["plan"]["rows"]
    assert (result.exit_code, answer["open"]) == (1, False)
    assert row["running_version"] == "v1.0.0"
    assert row["candidate_digest"] == release.images["service-0"]
    assert {check["gate"] for check in row["verdict"]["checks"]} >= {"soak", "approvals"}


def test_unknown_names_get_the_nearest_one(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    for words, near in (
        (("plan", "prodution", "v1.2.3"), "did you mean 'production'?"),
        (("plan", "production", "v1.2.4"), "did you mean 'v1.2.3'?"),
        (("plan", "production", "v1.2.3", "--service", "servce-1"), "did you mean 'service-1'?"),
        (("stats",), "did you mean 'status'?"),
    ):
        result = shell.run(*words)
        assert result.exit_code == 2, words
        assert near in result.stderr, words
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [("status",), ("plan", "production", "v1.2.3"), ("hold", "list"), ("incident",)],
)
def test_outside_the_sandbox_nobody_reads_without_a_token(
    shell: Shell, words: tuple[str, ...]
) -> None:
    shell.office.release("v1.2.3")
    shell.office.sandbox = False
    shell.office.person("sam", 2)
    shell.client.app.state.office = shell.office.app().state.office  # type: ignore[attr-defined]
    refused, allowed = shell.run(*words), shell.run(*words, token="sam-token")
    assert refused.exit_code == 1
    assert "set FLOWMASTER_TOKEN" in refused.stderr
    assert refused.stdout == ""
    assert "set FLOWMASTER_TOKEN" not in allowed.output
