"""Breaking and mending a service of the sandbox, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.settings import Settings

BROKEN = {"service": "web", "digest": "sha256:bbb", "pods": 2, "environment": "production"}


@dataclass
class Sandbox:
    """A sandbox that notes its orders and answers as told."""

    status: int = 201
    body: Any = field(default_factory=lambda: dict(BROKEN))
    away: bool = False
    seen: list[tuple[str, Any, str]] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        order = json.loads(request.content) if request.content else None
        self.seen.append((request.url.path, order, request.headers["authorization"]))
        return httpx.Response(self.status, json=self.body)

    def connect(self, url: str, headers: Mapping[str, str]) -> httpx.Client:
        transport = httpx.MockTransport(self.answer)
        return httpx.Client(base_url=url, headers=dict(headers), transport=transport)


@pytest.fixture
def far() -> Sandbox:
    return Sandbox()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    write(folder / "sandbox", "secret")
    return folder


@pytest.fixture
def run(
    far: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environ({"DAGSTER_HOME": str(home)})
    session = Session(settings, connect=far.connect)
    return lambda *words: CliRunner().invoke(main, ["sandbox", *words], obj=session)


def write(folder: Path, token: str) -> None:
    folder.mkdir(parents=True)
    told = {"control_url": "http://127.0.0.1:1", "control_token": token}
    (folder / "sandbox.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("words", "order", "said"),
    [
        (["--errors", "8%"], {"failure_rate": 0.08}, "8 % of its answers are 503"),
        (["--errors", "0.5%", "--slow", "2s"], {"failure_rate": 0.005, "delay": 2}, "0.5 %"),
        (["--slow", "900ms"], {"delay": 0.9}, "every answer takes 0.9 s longer"),
        (["--down"], {"down": True}, "closes connections"),
        (["--crash"], {"crash": True}, "crashes"),
    ],
)
def test_an_illness_is_ordered_and_said(
    run: Callable[..., Result],
    far: Sandbox,
    words: list[str],
    order: dict[str, object],
    said: str,
) -> None:
    result = run("break", "web", *words)
    assert result.exit_code == 0, result.output
    assert far.seen == [("/sandbox/break/web/production", order, "Bearer secret")]
    assert said in result.output
    assert "image bbb, 2 pods" in result.output
    assert "undo: flowmaster sandbox mend web\n" in result.output


def test_machines_are_told_the_same(run: Callable[..., Result], far: Sandbox) -> None:
    told = json.loads(run("break", "web", "--down", "--environment", "dev", "--json").output)
    assert far.seen[0][:2] == ("/sandbox/break/web/dev", {"down": True})
    assert told["order"] == {"down": True}
    assert (told["digest"], told["undo"]) == ("sha256:bbb", "flowmaster sandbox mend web")


@pytest.mark.parametrize(
    ("orders", "said"), [(2, "web is well again\n"), (0, "web was well: no order made it ill\n")]
)
def test_what_is_mended_is_said(
    run: Callable[..., Result], far: Sandbox, orders: int, said: str
) -> None:
    far.status, far.body = 200, {"mended": "web", "orders": orders}
    assert run("mend", "web").output == said
    assert far.seen == [("/sandbox/mend/web", None, "Bearer secret")]
    assert json.loads(run("mend", "web", "--json").output)["orders"] == orders


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--errors 8%, --slow 900ms, --down or --crash"),
        (["--down", "--crash"], "only --errors and --slow go together"),
        (["--down", "--errors", "8%"], "only --errors and --slow go together"),
        (["--errors", "8"], "'8' is no share"),
        (["--errors", "0%"], "'0%' is no share"),
        (["--errors", "101%"], "'101%' is no share"),
        (["--errors", "-8%"], "is no share"),
        (["--errors", "nan%"], "is no share"),
        (["--slow", "900"], "'900' is no time"),
        (["--slow", "0s"], "'0s' is no time"),
        (["--slow", "2h"], "'2h' is no time"),
        (["--slow", "61m"], "'61m' is no time"),
        (["--slow", "fast"], "'fast' is no time"),
    ],
)
def test_an_order_that_makes_no_sense_is_not_sent(
    run: Callable[..., Result], far: Sandbox, words: list[str], said: str
) -> None:
    result = run("break", "web", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert far.seen == []


@pytest.mark.parametrize(("status", "exit_code"), [(404, 2), (400, 2), (401, 1), (500, 3)])
def test_what_the_sandbox_refuses_is_said_in_its_words(
    run: Callable[..., Result], far: Sandbox, status: int, exit_code: int
) -> None:
    far.status, far.body = status, {"error": "there is no service 'web'"}
    result = run("break", "web", "--down")
    assert (result.exit_code, result.output) == (
        exit_code,
        "flowmaster: there is no service 'web'\n",
    )


def test_a_sandbox_that_does_not_answer_is_out_of_reach(
    run: Callable[..., Result], far: Sandbox
) -> None:
    far.away = True
    result = run("mend", "web")
    assert result.exit_code == 3
    assert "http://127.0.0.1:1 takes no orders (ConnectError)" in result.output


def test_where_no_sandbox_runs_is_said_with_where_it_was_looked_for(
    run: Callable[..., Result], home: Path
) -> None:
    (home / "sandbox" / "sandbox.json").unlink()
    result = run("break", "web", "--down")
    assert result.exit_code == 3
    assert str(home / "sandbox" / "sandbox.json") in result.output
    assert "--data" in result.output


def test_a_folder_of_addresses_that_cannot_be_read_is_named(
    run: Callable[..., Result], home: Path
) -> None:
    (home / "sandbox" / "sandbox.json").write_text("[]")
    result = run("break", "web", "--down")
    assert (result.exit_code, "does not tell where" in result.output) == (2, True)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_sandbox_elsewhere_is_found_by_its_folder(
    run: Callable[..., Result], far: Sandbox, tmp_path: Path, before: bool
) -> None:
    write(tmp_path / "other", "another")
    where, order = ["--data", str(tmp_path / "other")], ["break", "web", "--down"]
    result = run(*where, *order) if before else run(*order, *where)
    assert far.seen[0][2] == "Bearer another"
    assert f"mend web --data {tmp_path / 'other'}\n" in result.output


def test_one_that_was_started_alone_is_found(
    run: Callable[..., Result], far: Sandbox, home: Path
) -> None:
    (home / "sandbox" / "sandbox.json").unlink()
    write(Path(".flowmaster/sandbox"), "alone")
    assert run("break", "web", "--down").exit_code == 0
    assert far.seen[0][2] == "Bearer alone"
