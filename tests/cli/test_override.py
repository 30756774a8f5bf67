"""`flowmaster override`, and how `plan` shows what it does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from flowmaster_delivery.model.catalog import GateName, OverrideRule
from tests.cli.conftest import Shell

RULE = OverrideRule("group/seniors", (GateName.SOAK, GateName.FREEZE), timedelta(hours=4))
ASK = ("override", "production", "v1.2.3", "--gate", "soak", "--reason", "logins fail")


@pytest.fixture
def office(tmp_path: Path) -> object:
    from tests.fakes.office import FakeOffice

    made = FakeOffice(tmp_path)
    production = replace(made.catalog.environments["production"], override=RULE)
    places = {**made.catalog.environments, "production": production}
    made.catalog = replace(made.catalog, environments=places)
    made.release("v1.2.3")
    made.person("sam", 2, "group/seniors")
    made.person("eve", 9)
    return made


def test_an_override_says_what_it_did_and_what_to_do_next(shell: Shell) -> None:
    result = shell.run(*ASK, "--for", "2h", token="sam-token")
    (given,) = shell.office.history.overrides("platform", "v1.2.3")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        "sam overrides soak of production for platform@v1.2.3 (c1000000) until 2026-03-02 14:00 "
        f"UTC: {given.id}\nnext: flowmaster plan production v1.2.3\n"
    )


def test_plan_marks_what_is_overridden(shell: Shell) -> None:
    shell.run(*ASK, token="sam-token")
    result = shell.run("plan", "production", "v1.2.3")
    assert "⚠ soak: overridden by sam until 16:00 UTC: logins fail (soak 0 s of" in result.stdout
    assert "✗ soak:" not in result.stdout
    assert result.exit_code == 1
    plan = json.loads(shell.run("plan", "production", "v1.2.3", "--json").stdout)["plan"]
    states = {c["gate"]: c["state"] for c in plan["rows"][0]["verdict"]["checks"]}
    assert states["soak"] == "overridden"


def test_the_token_may_come_from_a_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "sam"
    file.write_text("sam-token\n")
    assert shell.run(*ASK, "--token-file", str(file)).exit_code == 0


def test_overrides_are_listed_with_whether_they_count(shell: Shell) -> None:
    assert (
        "nothing of v1.2.3 is overridden"
        in shell.run("override", "list", "production", "v1.2.3").stdout
    )
    shell.run(*ASK, "--for", "30m", token="sam-token")
    listed = shell.run("override", "list", "production", "v1.2.3").stdout
    assert "logins fail" in listed
    assert "    counts\n" in listed
    shell.office.now += timedelta(hours=1)
    (row,) = json.loads(shell.run("override", "list", "production", "v1.2.3", "--json").stdout)
    assert row["flaw"] == "expired 12:30 UTC"


@pytest.mark.parametrize(
    ("words", "token", "status", "said"),
    [
        (ASK, "eve-token", 1, "eve is not a member of group/seniors"),
        (ASK, None, 1, "your own GitLab token"),
        (ASK, "nobody-token", 1, "GitLab does not know this token"),
        ((*ASK, "--for", "9h"), "sam-token", 1, "lasts 4 h at most, and not 9 h"),
        ((*ASK, "--for", "soon"), "sam-token", 2, "a number with its unit"),
        ((*ASK[:4], "approvals", *ASK[5:]), "sam-token", 1, "and not approvals"),
        ((*ASK[:4], "sok", *ASK[5:]), "sam-token", 2, "gate"),
        ((*ASK[:3], "--gate", "soak"), "sam-token", 2, "--reason"),
        ((*ASK[:6], ""), "sam-token", 2, "reason"),
        (("override", "prod", *ASK[2:]), "sam-token", 2, "did you mean 'production'?"),
        (("override", "list", "production", "v9.9.9"), None, 2, "there is no version"),
        (("override", "list", "dev", "v1.2.3"), None, 1, "nothing can be overridden in dev"),
    ],
)
def test_what_may_not_be_is_said_in_words(
    shell: Shell, words: tuple[str, ...], token: str | None, status: int, said: str
) -> None:
    result = shell.run(*words, token=token)
    assert (result.exit_code, said in result.stderr) == (status, True), result.stderr
    assert shell.office.history.overrides("platform", "v1.2.3") == ()
