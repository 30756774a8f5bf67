"""`flowmaster replay`: the server's record, a file's policy, and no effect on anything."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import Admission, Candidate
from flowmaster_delivery.settings import Settings
from tests.cli.conftest import Shell
from tests.fakes.office import FakeOffice

WHOLE = """\
name: test
forge_url: http://127.0.0.1:1
registry_url: http://127.0.0.1:2
repositories:
  platform: {project: group/platform}
environments:
  staging: {namespace: s, ref: {branch: staging}, automatic: true}
  production:
    namespace: p
    upstream: staging
    ref: {tag: vX.Y.Z}
    gates: [soak, upstream_healthy, approvals]
    soak: {standard: 24h, critical: 24h}
    approvals: {count: 1, group: group/seniors}
services:
  service-0: {repository: platform, path: services/service-0, port: 1024}
"""
STRICT = "environments: {production: {soak: {standard: 72h, critical: 72h}}}\n"


@pytest.fixture
def office(tmp_path: Path) -> FakeOffice:
    """service-0 was let into production an hour ago, after 30 h in staging."""
    made = FakeOffice(tmp_path)
    made.now = datetime.now(tz=UTC)
    at = made.now - timedelta(hours=1)
    for minutes in range(30 * 60, -1, -10):
        seen = at - timedelta(minutes=minutes)
        made.history.record(
            HealthObservation("service-0", "staging", HealthState.HEALTHY, "d", "f", seen)
        )
    candidate = Candidate(
        "service-0", "production", "platform", "c" * 40, "d", "f", "v1.2.3", "v1.2.3"
    )
    made.history.record(Admission(candidate, True, "sam", "", at))
    return made


@pytest.fixture
def today(office: FakeOffice, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Today's catalog, as `flowmaster up` left word of it."""
    file = office.folder / "catalog.yaml"
    file.write_text(WHOLE)
    (office.folder / "up.json").write_text(json.dumps({"catalog": str(file), "overlay": None}))
    return file


def test_todays_policy_refuses_nothing_that_it_let_in(shell: Shell, today: Path) -> None:
    result = shell.run("replay", "--since", "10d")
    assert result.exit_code == 0, result.stderr
    assert "of 1 promotions it would have refused 0; it would have rolled back 0" in result.stdout
    assert "not on record, and not judged: approvals (by command: nobody" in result.stdout
    every = shell.run("replay", "--since", "10d", "--all").stdout
    assert "let in, as it happened" in every


def test_a_file_that_says_what_differs_is_laid_over_todays(
    shell: Shell, today: Path, tmp_path: Path
) -> None:
    strict = tmp_path / "strict.yaml"
    strict.write_text(STRICT)
    before = list(shell.office.history.records)
    result = shell.run("replay", "--policy", str(strict))
    assert result.exit_code == 0, result.stderr
    assert "of 1 promotions it would have refused 1" in result.stdout
    assert "refused" in result.stdout
    found = json.loads(shell.run("replay", "--policy", str(strict), "--json").stdout)
    assert found["findings"][0]["why"] == "soak: soak 30 h of 3 d in staging"
    assert found["summary"].startswith("of 1 promotions it would have refused 1")
    assert shell.office.history.records == before
    assert shell.office.launcher.orders == []


def test_a_whole_catalog_stands_for_itself(shell: Shell, tmp_path: Path) -> None:
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(WHOLE.replace("24h", "1h"))
    result = shell.run("replay", "--policy", str(lenient))
    assert "would have refused 0" in result.stdout


def test_a_time_that_holds_nothing_says_so(shell: Shell, today: Path) -> None:
    result = shell.run("replay", "--since", "30m")
    assert result.stdout.endswith("of 0 promotions it would have refused 0; it would have rolled "
                                  "back 0 times\n")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--since", "long"), 2, "a number with its unit"),
        (("--environment", "prod"), 2, "there is no environment 'prod'"),
        (("--policy", "missing.yaml"), 2, "'missing.yaml' does not exist"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    shell: Shell, today: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    result = shell.run("replay", *words)
    assert (result.exit_code, said in result.stderr) == (status, True), result.stderr


def test_a_policy_with_faults_names_them(shell: Shell, today: Path, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("environments: {production: {soak: {standard: soon}}}\n")
    result = shell.run("replay", "--policy", str(faulty))
    assert result.exit_code == 1
    assert "a duration is a number with its unit" in result.stderr


def test_a_record_of_another_version_is_said(today: Path) -> None:
    strange = {"records": [{"kind": "Hold", "record": {"id": "h1"}}], "cuts": []}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=strange))
    session = Session(
        Settings.from_environ({"DAGSTER_HOME": str(today.parent)}),
        connect=lambda url, _: httpx.Client(base_url=url, transport=transport),
    )
    result = CliRunner().invoke(main, ["replay"], obj=session)
    assert result.exit_code == 2
    assert "install the server's version" in result.stderr


def test_a_record_of_a_kind_that_came_later_is_left_out(today: Path) -> None:
    newer = {"records": [{"kind": "Oracle", "record": {"id": "o1"}}], "cuts": []}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=newer))
    session = Session(
        Settings.from_environ({"DAGSTER_HOME": str(today.parent)}),
        connect=lambda url, _: httpx.Client(base_url=url, transport=transport),
    )
    assert CliRunner().invoke(main, ["replay"], obj=session).exit_code == 0
