"""What an audit comes to: what was found, what is excused, what could not be asked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from supply_chain.pins import Pin

LONGEST = timedelta(days=90)
"""For which a vulnerability may be excused before somebody looks again."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """`names` are all that it is known by: PYSEC-…, CVE-…, GHSA-…"""

    names: frozenset[str]
    summary: str
    mended_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        mended = f"; mended in {', '.join(self.mended_in)}" if self.mended_in else "; not mended"
        return f"{', '.join(sorted(self.names))}: {self.summary}{mended}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one pin: vulnerabilities, or why nobody could say."""

    pin: Pin
    vulnerabilities: tuple[Vulnerability, ...] = ()
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Excuse:
    """A vulnerability that does not stop us: of which package, why, and until when."""

    name: str
    package: str
    reason: str
    since: date
    until: date

    def covers(self, pin: Pin, vulnerability: Vulnerability, today: date) -> bool:
        return self.name in vulnerability.names and self.package == pin.name and today <= self.until


@dataclass(frozen=True, slots=True)
class Verdict:
    """`stops` fails an audit; the rest is for people to read."""

    audited: tuple[Pin, ...]
    stops: tuple[str, ...]
    excused: tuple[str, ...]
    unknown: tuple[Answer, ...]
    idle: tuple[Excuse, ...]
    """Excuses of nothing that was found, where all of their package was audited."""

    @property
    def passed(self) -> bool:
        return not self.stops


def judge(answers: Iterable[Answer], excuses: Iterable[Excuse], today: date) -> Verdict:
    answers, excuses = tuple(answers), tuple(excuses)
    stops, excused, used = [], [], set()
    for answer in answers:
        for vulnerability in answer.vulnerabilities:
            excuse = _excuse(excuses, answer.pin, vulnerability, today)
            if excuse is None:
                stops.append(f"{answer.pin}: {vulnerability}")
            else:
                used.add(excuse)
                excused.append(
                    f"{answer.pin}: {vulnerability}, until {excuse.until}: {excuse.reason}"
                )
    audited = tuple(answer.pin for answer in answers if answer.unknown is None)
    unknown = tuple(answer for answer in answers if answer.unknown is not None)
    unasked = {answer.pin.name for answer in unknown}
    idle = tuple(e for e in excuses if e not in used and e.package not in unasked)
    return Verdict(audited, tuple(stops), tuple(excused), unknown, idle)


def _excuse(
    excuses: Iterable[Excuse], pin: Pin, vulnerability: Vulnerability, today: date
) -> Excuse | None:
    return next((e for e in excuses if e.covers(pin, vulnerability, today)), None)


def excuses_of(text: str) -> tuple[Excuse, ...]:
    """Read ignored.toml. Raise ValueError, naming the entry, where one lacks a reason or an end."""
    return tuple(_read(entry) for entry in tomllib.loads(text).get("ignored", []))


def _read(entry: Mapping[str, object]) -> Excuse:
    name = entry.get("name", "?")
    missing = {"name", "package", "reason", "since", "until"} - set(entry)
    if missing:
        raise ValueError(f"ignored {name}: {', '.join(sorted(missing))} is not said")
    since, until = entry["since"], entry["until"]
    if not isinstance(since, date) or not isinstance(until, date):
        raise ValueError(  # noqa: TRY004  # of what a person wrote, like the others
            f"ignored {name}: since and until are dates, such as 2026-11-26"
        )
    if not since <= until <= since + LONGEST:
        raise ValueError(f"ignored {name}: it ends within {LONGEST.days} days of {since}")
    if len(str(entry["reason"]).split()) < MIN_WORDS:
        raise ValueError(f"ignored {name}: say why it does not hurt us, in a sentence")
    return Excuse(str(name), str(entry["package"]), str(entry["reason"]), since, until)


MIN_WORDS = 4


def report(verdict: Verdict) -> Iterator[str]:
    """What people read. What could not be audited comes last, where it is seen."""
    for line in verdict.excused:
        yield f"ignored:   {line}"
    for excuse in verdict.idle:
        yield f"remove:    {excuse.name} of {excuse.package} is ignored and was not found"
    for line in verdict.stops:
        yield f"VULNERABLE {line}"
    yield (
        f"audited:   {len(verdict.audited)} packages, "
        f"{len(verdict.stops)} vulnerabilities, {len(verdict.excused)} ignored"
    )
    reasons: dict[str, list[str]] = {}
    for answer in verdict.unknown:
        reasons.setdefault(str(answer.unknown), []).append(str(answer.pin))
    for reason, names in reasons.items():
        yield f"NOT AUDITED ({len(names)}): {', '.join(names)}: {reason}"
