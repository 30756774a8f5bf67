"""`make audit` fails for what was found, and writes down what could not be asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from supply_chain import audit
from supply_chain.judging import Answer, Vulnerability
from supply_chain.pins import Pin

HOLE = Vulnerability(frozenset({"CVE-1"}), "reads too far")


def answering(monkeypatch: pytest.MonkeyPatch, **known: Answer) -> None:
    def ask(pins: Iterable[Pin]) -> tuple[Answer, ...]:
        return tuple(known.get(pin.name, Answer(pin)) for pin in pins)

    monkeypatch.setattr(audit, "ask", ask)


def test_it_passes_where_nothing_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch)
    left_out = tmp_path / "left-out"
    assert audit.main(str(left_out)) == 0
    assert "0 vulnerabilities" in capsys.readouterr().out
    assert left_out.read_text() == ""


def test_it_fails_for_a_vulnerability(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, dagster=Answer(Pin("dagster", "1"), (HOLE,)))
    assert audit.main() == 1
    assert "VULNERABLE dagster 1: CVE-1" in capsys.readouterr().out


def test_what_could_not_be_asked_is_written_down_and_does_not_fail_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answering(monkeypatch, dagster=Answer(Pin("dagster", "1"), unknown="the index is away"))
    left_out = tmp_path / "left-out"
    assert audit.main(str(left_out)) == 0
    assert left_out.read_text() == "NOT AUDITED (1): dagster 1: the index is away\n"
