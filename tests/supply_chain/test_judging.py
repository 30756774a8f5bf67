"""Only what somebody excused, with a reason and an end, does not stop an audit."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from supply_chain.judging import LONGEST, Answer, Excuse, Vulnerability, excuses_of, judge, report
from supply_chain.pins import Pin

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 26)
PIN, OTHER = Pin("one", "1.0"), Pin("two", "2.0")
HOLE = Vulnerability(frozenset({"PYSEC-1", "CVE-1"}), "reads too far", ("1.1",))
EXCUSE = Excuse("CVE-1", "one", "nothing of ours calls it", TODAY, TODAY + timedelta(days=9))
ENTRY = """
[[ignored]]
name = "CVE-1"
package = "one"
reason = "Nothing of ours calls it."
since = 2026-11-26
until = 2026-12-24
"""


def test_a_vulnerability_stops() -> None:
    verdict = judge([Answer(PIN, (HOLE,)), Answer(OTHER)], [], TODAY)
    assert not verdict.passed
    said = "\n".join(report(verdict))
    assert "VULNERABLE one 1.0: CVE-1, PYSEC-1: reads too far; mended in 1.1" in said
    assert "audited:   2 packages, 1 vulnerabilities" in said


def test_one_that_is_not_mended_anywhere_says_so() -> None:
    hole = Vulnerability(frozenset({"CVE-2"}), "is odd")
    said = "\n".join(report(judge([Answer(PIN, (hole,))], [], TODAY)))
    assert "CVE-2: is odd; not mended" in said


def test_an_excuse_lets_it_pass_by_any_of_its_names_and_is_told() -> None:
    verdict = judge([Answer(PIN, (HOLE,))], [EXCUSE], TODAY)
    assert verdict.passed
    assert "nothing of ours calls it" in "\n".join(report(verdict))


@pytest.mark.parametrize(
    "excuse",
    [
        Excuse("CVE-1", "two", "of another package", TODAY, EXCUSE.until),
        Excuse("CVE-9", "one", "of another hole", TODAY, EXCUSE.until),
        Excuse("CVE-1", "one", "of yesterday", TODAY, TODAY - timedelta(days=1)),
    ],
    ids=lambda excuse: excuse.reason,
)
def test_an_excuse_of_something_else_or_of_the_past_does_not(excuse: Excuse) -> None:
    assert not judge([Answer(PIN, (HOLE,))], [excuse], TODAY).passed


def test_an_excuse_holds_on_its_last_day() -> None:
    assert judge([Answer(PIN, (HOLE,))], [EXCUSE], EXCUSE.until).passed


def test_an_excuse_of_nothing_is_to_be_removed() -> None:
    said = "\n".join(report(judge([Answer(PIN)], [EXCUSE], TODAY)))
    assert "remove:    CVE-1 of one is ignored and was not found" in said


def test_an_excuse_of_what_nobody_could_say_stays() -> None:
    assert judge([Answer(PIN, unknown="away")], [EXCUSE], TODAY).idle == ()


def test_what_could_not_be_audited_is_told_last_by_reason_and_is_not_counted() -> None:
    answers = [Answer(PIN, unknown="away"), Answer(Pin("x", "1")), Answer(OTHER, unknown="away")]
    verdict = judge(answers, [], TODAY)
    lines = list(report(verdict))
    assert lines[-1] == "NOT AUDITED (2): one 1.0, two 2.0: away"
    assert lines[-2].startswith("audited:   1 packages")
    assert verdict.passed


def test_an_entry_is_read() -> None:
    (excuse,) = excuses_of(ENTRY)
    assert (excuse.name, excuse.package, excuse.until) == ("CVE-1", "one", date(2026, 12, 24))


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ('reason = "Nothing of ours calls it."', "", "reason is not said"),
        ('reason = "Nothing of ours calls it."', 'reason = "no"', "say why"),
        ("until = 2026-12-24", "", "until is not said"),
        ("until = 2026-12-24", 'until = "soon"', "are dates"),
        ("until = 2026-12-24", "until = 2027-12-24", f"within {LONGEST.days} days"),
        ("until = 2026-12-24", "until = 2026-11-25", f"within {LONGEST.days} days"),
        ('package = "one"', "", "package is not said"),
    ],
)
def test_an_entry_without_a_reason_or_an_end_is_refused(line: str, instead: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"ignored CVE-1: .*{said}"):
        excuses_of(ENTRY.replace(line, instead))


def test_every_entry_of_ours_has_a_reason_and_an_end() -> None:
    excuses_of((ROOT / "supply_chain" / "ignored.toml").read_text(encoding="utf-8"))
