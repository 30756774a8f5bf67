"""`flowmaster audit`: what is shown, what is exported, and what is found to be wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from flowmaster_delivery.cli.console import short
from flowmaster_delivery.model.audit import Action, Channel, Deed, Whence
from flowmaster_delivery.model.audit import Result as Ended
from tests.builders import digest
from tests.cli.conftest import Shell
from tests.fakes.fake_audit import KEY
from tests.fakes.office import FakeOffice

EVER = ("--since", "2026-01-01")


@pytest.fixture
def office(office: FakeOffice) -> FakeOffice:
    key = office.folder / "seal"
    key.write_text(KEY)
    known = replace(office.settings().seal_key, path=key)
    settings = replace(office.settings(), seal_key=known)
    office.settings = lambda: settings  # type: ignore[method-assign]
    return office


def put(shell: Shell, who: str = "dana", **changes: object) -> None:
    given: dict[str, object] = {
        "action": Action.HOLD_PLACED,
        "result": Ended.ACCEPTED,
        "at": shell.office.now,
        "whence": Whence(Channel.API, "10.0.0.7"),
        "who": who,
        "via": "gitlab",
        "environment": "production",
        "services": ("api",),
        "reason": "5xx [red]after[/red] v1.2.3",
    }
    shell.office.audit.append(Deed(**{**given, **changes}))  # type: ignore[arg-type]


def listed(shell: Shell, *words: str) -> list[dict[str, object]]:
    result = shell.run("audit", *EVER, *words, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def whos(rows: list[dict[str, object]]) -> list[object]:
    return [row["who"] for row in rows]


def test_an_entry_is_shown_with_who_what_why_when_and_from_where(shell: Shell) -> None:
    put(
        shell, result=Ended.REFUSED, from_digest=digest("a"), to_digest=digest("b"), run_id="r" * 36
    )
    result = shell.run("audit", *EVER)
    assert result.exit_code == 0, result.output
    row, why, whence = result.stdout.splitlines()[1:]
    assert row.split() == [
        "1", "2026-03-02", "12:00", "dana", "hold", "placed:", "refused", "production", "api",
    ]  # fmt: skip
    assert why.strip() == "5xx [red]after[/red] v1.2.3"
    images = f"{short(digest('a'))} -> {short(digest('b'))}"
    assert whence.strip().startswith("by api (gitlab) from 10.0.0.7, ")
    assert whence.endswith(f", {images}, run rrrrrrrr")


def test_many_services_are_counted(shell: Shell) -> None:
    put(shell, services=tuple(f"service-{n}" for n in range(29)))
    assert "service-0, service-1, service-2, +26" in shell.run("audit", *EVER).stdout


def test_what_somebody_wrote_into_the_database_commands_no_terminal(shell: Shell) -> None:
    put(shell)
    (entry,) = shell.office.audit.entries
    nasty = entry.content.replace('"dana"', '"\\u001b[31mdana\\u0007"')
    shell.office.audit.entries[0] = replace(entry, content=nasty)
    shown = shell.run("audit", *EVER).stdout
    assert "dana" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_an_entry_that_cannot_be_read_is_shown_as_that(shell: Shell) -> None:
    put(shell)
    (entry,) = shell.office.audit.entries
    shell.office.audit.entries[0] = replace(entry, content="{")
    assert "unreadable" in shell.run("audit", *EVER).stdout
    assert shell.run("audit", "verify").exit_code == 1


def test_the_newest_stands_first_and_as_many_as_wanted(shell: Shell) -> None:
    for number in range(5):
        put(shell, str(number))
    assert whos(listed(shell, "--limit", "2")) == ["4", "3"]
    assert "--limit 0 shows all" in shell.run("audit", *EVER, "--limit", "2").stderr
    assert whos(listed(shell, "--limit", "0")) == ["4", "3", "2", "1", "0"]
    assert "--limit" not in shell.run("audit", *EVER, "--limit", "5").stderr


def test_more_than_a_page_is_read_page_by_page(shell: Shell) -> None:
    for number in range(2100):
        put(shell, str(number))
    rows = listed(shell, "--limit", "0")
    assert whos(rows) == [str(number) for number in reversed(range(2100))]
    assert len(listed(shell, "--limit", "1500")) == 1500
    assert whos(listed(shell, "--who", "7", "--limit", "0")) == ["7"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--who", "dana"), ["dana"]),
        (("--environment", "staging"), ["sam"]),
        (("--service", "web"), ["sofia"]),
        (("--action", "approval_given"), ["jane"]),
        (("--who", "dana", "--environment", "staging"), []),
        (("--until", "2026-03-02T11:00:00Z"), []),
        (("--until", "2026-03-02T13:00:00+00:00"), ["jane", "sofia", "sam", "dana"]),
    ],
)
def test_entries_are_sought_by_what_they_say(
    shell: Shell, words: tuple[str, ...], found: list[str]
) -> None:
    put(shell, "dana")
    put(shell, "sam", environment="staging")
    put(shell, "sofia", services=("api", "web"))
    put(shell, "jane", action=Action.APPROVAL_GIVEN)
    assert whos(listed(shell, *words)) == found


def test_what_is_too_old_is_not_shown_and_what_was_late_is(shell: Shell) -> None:
    """A late entry stands behind newer ones, with the time at which it should have been there."""
    put(shell, "long ago", at=shell.office.now - timedelta(days=200))
    put(shell, "today")
    put(shell, "late", at=shell.office.now - timedelta(days=1))
    put(shell, "now")
    found = json.loads(shell.run("audit", "--since", "2026-03-01", "--json").stdout)
    assert whos(found) == ["now", "late", "today"]


def test_an_action_that_there_is_not_is_answered_with_the_nearest(shell: Shell) -> None:
    result = shell.run("audit", "--action", "hold_place")
    assert result.exit_code == 2
    assert "did you mean 'hold_placed'?" in result.stderr


def test_a_time_that_is_none_is_wrong_usage(shell: Shell) -> None:
    assert shell.run("audit", "--since", "yesterday").exit_code == 2


def test_where_nothing_is_found_that_is_said(shell: Shell) -> None:
    assert shell.run("audit").stdout == "nothing is on the audit trail of that\n"


def test_the_head_is_noted_and_shows_later_what_was_cut_off(shell: Shell) -> None:
    put(shell)
    put(shell)
    noted = shell.run("audit", "head").stdout.strip()
    assert noted == str(shell.office.audit.head())
    whole = shell.run("audit", "verify", "--head", noted)
    assert whole.exit_code == 0
    assert whole.stdout == f"the audit trail is whole: 2 entries, 1 to 2\nhead: {noted}\n"
    del shell.office.audit.entries[1]
    cut = shell.run("audit", "verify", "--head", noted)
    assert cut.exit_code == 1
    assert "cut off: the newest entry is 1, and 2 was noted" in cut.stdout
    assert shell.run("audit", "verify").exit_code == 0


def test_a_changed_entry_is_named_and_fails_the_command(shell: Shell) -> None:
    put(shell)
    put(shell)
    (first, second) = shell.office.audit.entries
    shell.office.audit.entries[0] = replace(first, content=second.content)
    result = shell.run("audit", "verify")
    assert result.exit_code == 1
    assert "the audit trail is NOT whole (2 entries, 1 to 2)" in result.stdout
    assert "changed: entry 1 was changed" in result.stdout
    told = json.loads(shell.run("audit", "verify", "--json").stdout)
    assert (told["whole"], told["verified"]["findings"][0]["flaw"]) == (False, "changed")


def test_a_head_that_is_none_is_wrong_usage(shell: Shell) -> None:
    result = shell.run("audit", "verify", "--head", "7")
    assert result.exit_code == 2
    assert "SEQUENCE:HASH" in result.stderr


def exported(shell: Shell, tmp_path: Path, *words: str) -> Path:
    result = shell.run("audit", "export", *words)
    assert result.exit_code == 0, result.output
    file = tmp_path / "audit.jsonl"
    file.write_text(result.stdout, encoding="utf-8")
    return file


def offline(shell: Shell, file: Path, *words: str) -> Result:
    shell.office.audit.away = True
    return shell.run("audit", "verify", "--file", str(file), *words)


def test_an_export_is_verified_without_the_server(shell: Shell, tmp_path: Path) -> None:
    for number in range(1200):
        put(shell, str(number))
    file = exported(shell, tmp_path)
    assert len(file.read_text().splitlines()) == 1200
    noted = str(shell.office.audit.head())
    result = offline(shell, file, "--head", noted)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("the audit trail is whole: 1200 entries, 1 to 1200\n")


def test_an_export_that_was_changed_is_found(shell: Shell, tmp_path: Path) -> None:
    put(shell)
    put(shell)
    file = exported(shell, tmp_path)
    file.write_text(file.read_text().replace('"dana"', '"eve"', 1))
    result = offline(shell, file)
    assert result.exit_code == 1
    assert "changed: entry 1 was changed" in result.stdout


def test_a_line_that_is_no_entry_is_named(shell: Shell, tmp_path: Path) -> None:
    put(shell)
    file = exported(shell, tmp_path)
    file.write_text(file.read_text() + "what is this\n")
    result = offline(shell, file)
    assert result.exit_code == 2
    assert "line 2 of" in result.stderr


def test_seals_need_the_key(shell: Shell, tmp_path: Path) -> None:
    put(shell)
    file, other = exported(shell, tmp_path), tmp_path / "other"
    other.write_text("another key, long enough")
    wrong = offline(shell, file, "--key-file", str(other))
    assert wrong.exit_code == 1
    assert "unsealed: entry 1 was not sealed by this key" in wrong.stdout
    unset = replace(
        shell.office.settings(), seal_key=replace(shell.office.settings().seal_key, path=None)
    )
    shell.office.settings = lambda: unset  # type: ignore[method-assign]
    without = offline(shell, file)
    assert without.exit_code == 0
    assert "seals were not looked at" in without.stdout


def test_what_came_since_the_last_export_goes_on_from_its_head(
    shell: Shell, tmp_path: Path
) -> None:
    put(shell)
    put(shell)
    before = str(shell.office.audit.head())
    put(shell, "sam")
    file = exported(shell, tmp_path, "--after", before)
    assert [json.loads(line)["who"] for line in file.read_text().splitlines()] == ["sam"]
    assert offline(shell, file, "--after", before).exit_code == 0
    assert offline(shell, file).exit_code == 1


def test_a_trail_out_of_reach_is_said_to_be_that(shell: Shell) -> None:
    shell.office.audit.away = True
    for words in ((), ("head",), ("verify",), ("export",)):
        result = shell.run("audit", *words)
        assert result.exit_code == 3
        assert "audit trail gives no answer" in result.stderr


def test_nobody_unknown_reads_the_trail(shell: Shell) -> None:
    shell.office.sandbox = False
    put(shell)
    assert shell.run("audit", token="stolen").exit_code == 1
