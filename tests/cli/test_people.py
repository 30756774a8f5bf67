"""`approve`, `hold`, and what commands say when nothing answers."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.settings import Settings
from tests.cli.conftest import Shell


def test_an_approval_is_bound_to_commit_and_digests(shell: Shell) -> None:
    release = shell.office.release("v1.2.3")
    shell.office.person("sofia", 3, "group/seniors")
    result = shell.run("approve", "production", "v1.2.3", token="sofia-token")
    (given,) = shell.office.history.approvals("platform", "v1.2.3")
    assert result.stdout == "sofia approved platform@v1.2.3 (c1000000) for production\n"
    assert (given.by, given.commit, given.withdrawn) == ("sofia", release.commit, False)
    assert given.digests == release.images


def test_an_approval_is_withdrawn_with_the_token_of_a_file(shell: Shell, tmp_path: Path) -> None:
    shell.office.release("v1.2.3")
    shell.office.person("sofia", 3, "group/seniors")
    file = tmp_path / "sofia"
    file.write_text("sofia-token\n")
    words = ("--withdraw", "--token-file", str(file))
    result = shell.run("approve", "production", "v1.2.3", *words)
    assert "sofia withdrew approval" in result.stdout
    assert shell.office.history.approvals("platform", "v1.2.3")[0].withdrawn


def test_nobody_approves_as_local(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    result = shell.run("approve", "production", "v1.2.3")
    assert result.exit_code == 1
    assert "your own GitLab token" in result.stderr


def test_only_the_group_that_policy_names_may_approve(shell: Shell) -> None:
    shell.office.release("v1.2.3")
    shell.office.person("dana", 1)
    result = shell.run("approve", "production", "v1.2.3", token="dana-token")
    assert result.exit_code == 1
    assert "dana is not a member of group/seniors" in result.stderr
    assert shell.office.history.approvals("platform", "v1.2.3") == ()


def test_a_token_file_that_is_not_there_is_wrong_usage(shell: Shell, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    result = shell.run("approve", "production", "v1.2.3", "--token-file", missing)
    assert result.exit_code == 2


def test_holds_are_placed_listed_and_released(shell: Shell) -> None:
    placed = shell.run("hold", "place", "production", "service-0", "--reason", "smells")
    (held,) = json.loads(shell.run("hold", "list", "--json").stdout)
    listed = shell.run("hold")
    released = shell.run("hold", "release", held["id"], "--reason", "aired")
    assert (placed.exit_code, released.exit_code) == (0, 0)
    assert (held["service"], held["author"], held["reason"]) == ("service-0", "local", "smells")
    assert "smells" in listed.stdout
    assert shell.run("hold").stdout == "nothing is held\n"
    assert shell.run("hold", "list", "--environment", "dev", "--json").stdout == "[]\n"


@pytest.mark.parametrize("group", ["hold", "incident", "migration", "canary"])
def test_what_lists_by_itself_takes_the_options_of_its_list(shell: Shell, group: str) -> None:
    assert shell.run(group).exit_code == 0
    assert shell.run(group, "--json").stdout.startswith("[")
    assert "Usage" in shell.run(group, "--help").stdout


def test_a_command_that_is_not_there_is_answered_with_the_nearest(shell: Shell) -> None:
    result = shell.run("hold", "relase", "h1")
    assert (result.exit_code, "did you mean 'release'" in result.stderr) == (2, True)


def test_a_hold_that_is_not_there_is_an_unknown_name(shell: Shell) -> None:
    result = shell.run("hold", "release", "h9")
    assert result.exit_code == 2
    assert "there is no hold 'h9'" in result.stderr


def test_a_hold_needs_a_known_service(shell: Shell) -> None:
    result = shell.run("hold", "place", "production", "sevice-0", "--reason", "x")
    assert result.exit_code == 2
    assert "did you mean 'service-0'?" in result.stderr


def test_a_server_that_is_not_there_is_said_in_one_sentence(shell: Shell) -> None:
    from click.testing import CliRunner

    settings = Settings.from_environ({"FLOWMASTER_URL": "http://127.0.0.1:1"})
    result = CliRunner().invoke(main, ["status"], obj=Session(settings))
    assert result.exit_code == 3
    assert "does not answer (ConnectError); start it with `flowmaster up`" in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_not_our_server_is_said(shell: Shell) -> None:
    from click.testing import CliRunner

    page = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>"))
    session = Session(
        Settings.from_environ({}),
        connect=lambda url, _: httpx.Client(base_url=url, transport=page),
    )
    result = CliRunner().invoke(main, ["status"], obj=session)
    assert result.exit_code == 3
    assert "is not the platform's server" in result.stderr


def test_the_server_is_found_by_what_up_left(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text('{"server_url": "http://127.0.0.1:4711"}')
    session = Session(Settings.from_environ({"DAGSTER_HOME": str(tmp_path)}))
    assert session.server().url == "http://127.0.0.1:4711"
    named = Settings.from_environ(
        {"DAGSTER_HOME": str(tmp_path), "FLOWMASTER_URL": "http://127.0.0.1:1"}
    )
    assert Session(named).server().url == "http://127.0.0.1:1"


def test_help_names_every_command_and_the_exit_statuses(shell: Shell) -> None:
    result = shell.run("--help")
    assert result.exit_code == 0
    for word in (
        "status",
        "plan",
        "promote",
        "approve",
        "rollback",
        "canary",
        "hold",
        "adopt",
        "catalog",
        "up",
        "demo",
        "serve",
        "sandbox",
        "Exit status",
    ):
        assert word in result.stdout


def test_every_command_has_help(shell: Shell) -> None:
    from flowmaster_delivery.cli.root import COMMANDS

    for name in COMMANDS:
        result = shell.run(name, "--help")
        assert result.exit_code == 0, name
        assert "Usage:" in result.stdout
