"""Markdown of records that people read: text of others, tables, judgements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC

from flowmaster_delivery.model.analysis import Figure, Judgement, Measurement
from flowmaster_delivery.policy.analysis import shown
from flowmaster_delivery.policy.wording import span

SIGNS = re.compile(r"([\\`*_\[\]<>#|])")
JUDGED = ("figure", "outcome", "value", "threshold", "baseline", "requests", "window", "at")


def escaped(text: str) -> str:
    """Text of others as it is: on one line, and no Markdown."""
    return SIGNS.sub(r"\\\1", " ".join(_printable(text).split()))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; cells are Markdown already."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def judged(judgements: Sequence[Judgement]) -> Iterator[str]:
    """All that a person needs to judge again: every judgement, then every query once, whole."""
    yield from table(JUDGED, (_cells(judgement) for judgement in judgements))
    yield ""
    yield "Queries:"
    yield ""
    queries = (one.measurement.query for one in judgements if one.measurement.query)
    yield from (f"- `{query}`" for query in dict.fromkeys(queries))


def _cells(judgement: Judgement) -> Sequence[str]:
    measured = judgement.measurement
    return (
        measured.figure.value,
        judgement.outcome.value,
        _value(measured),
        _number(measured.figure, judgement.threshold),
        _value(judgement.baseline) if judgement.baseline else "",
        "" if measured.requests is None else f"{measured.requests:.0f}",
        span(measured.window),
        f"{measured.at.astimezone(UTC):%H:%M:%S}",
    )


def _value(measured: Measurement) -> str:
    return escaped(measured.error) or shown(measured.figure, measured.value)


def _number(figure: Figure, value: float | None) -> str:
    return "" if value is None else shown(figure, value)


def _printable(text: Iterable[str]) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
