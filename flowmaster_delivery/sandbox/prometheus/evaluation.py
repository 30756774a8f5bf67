"""What a query comes to, over the series of the sandbox's traffic."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from flowmaster_delivery.sandbox.prometheus.syntax import (
    COMPARISONS,
    Aggregate,
    Binary,
    Expression,
    Number,
    QueryError,
    Ranged,
    Selector,
    Vector,
)
from flowmaster_delivery.sandbox.traffic import Series

LOOKBACK = 300.0
"""Seconds for which a sample speaks for its series, Prometheus' default."""

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant vector; the metric's name is the label `__name__`."""

    labels: Labels
    value: float


Value = float | list[Sample]

ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: (
        a / b if b else math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)
    ),
}
COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
AGGREGATED: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": math.fsum,
    "avg": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "count": len,
}


def evaluate(expression: Expression, series: Sequence[Series], now: float) -> Value:
    """A number, or an instant vector at `now` (unix seconds). QueryError for the impossible."""
    match expression:
        case Number(value):
            return value
        case Vector(value):
            return [Sample(frozenset(), value)]
        case Selector():
            return list(_instant(expression, series, now))
        case Ranged():
            return list(_ranged(expression, series, now))
        case Aggregate():
            return _aggregated(expression, evaluate(expression.inner, series, now))
        case Binary(sign, left, right):
            return _binary(sign, evaluate(left, series, now), evaluate(right, series, now))


def _instant(selector: Selector, series: Iterable[Series], now: float) -> Iterable[Sample]:
    for one in _selected(selector, series):
        known = [value for at, value in one.samples if now - LOOKBACK < at <= now]
        gone = not one.live and one.samples[-1][0] <= now
        if known and not gone:
            yield Sample(frozenset({**one.labels, "__name__": one.name}.items()), known[-1])


def _ranged(call: Ranged, series: Iterable[Series], now: float) -> Iterable[Sample]:
    for one in _selected(call.selector, series):
        window = [(at, value) for at, value in one.samples if now - call.window < at <= now]
        if len(window) < 2:
            continue
        seconds = window[-1][0] - window[0][0]
        per_second = _growth([value for _, value in window]) / seconds if seconds else 0.0
        value = per_second if call.function == "rate" else per_second * call.window
        yield Sample(frozenset(one.labels.items()), value)


def _growth(values: Sequence[float]) -> float:
    """Of a counter, which begins again at zero when it falls."""
    steps = pairwise(values)
    return math.fsum(new - old if new >= old else new for old, new in steps)


def _selected(selector: Selector, series: Iterable[Series]) -> Iterable[Series]:
    for one in series:
        if one.name == selector.name and all(
            m.accepts(one.labels.get(m.label, "")) for m in selector.matchers
        ):
            yield one


def _aggregated(call: Aggregate, inner: Value) -> list[Sample]:
    if isinstance(inner, float):
        raise QueryError(f"expected type instant vector in aggregation {call.function}, got scalar")
    groups: dict[Labels, list[float]] = defaultdict(list)
    for sample in inner:
        groups[frozenset(p for p in sample.labels if p[0] in call.by)].append(sample.value)
    return [Sample(k, float(AGGREGATED[call.function](v))) for k, v in groups.items()]


def _binary(sign: str, left: Value, right: Value) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        if sign in COMPARISONS:
            raise QueryError("comparisons between scalars must use BOOL modifier")
        return ARITHMETIC[sign](left, right)
    if isinstance(left, float):
        return _joined(sign, ((s, left, s.value) for s in _vector(right)), keep_right=True)
    if isinstance(right, float):
        return _joined(sign, ((s, s.value, right) for s in left))
    by_labels = {_unnamed(s): s for s in right}
    pairs = ((s, by_labels[_unnamed(s)]) for s in left if _unnamed(s) in by_labels)
    return _joined(sign, ((s, s.value, other.value) for s, other in pairs))


def _joined(
    sign: str, rows: Iterable[tuple[Sample, float, float]], *, keep_right: bool = False
) -> list[Sample]:
    """Arithmetic drops the metric's name; a comparison keeps the samples for which it holds."""
    if sign in COMPARISONS:
        kept = [(s, a, b) for s, a, b in rows if COMPARED[sign](a, b)]
        return [replace(s, value=b if keep_right else a) for s, a, b in kept]
    return [Sample(_unnamed(s), ARITHMETIC[sign](a, b)) for s, a, b in rows]


def _vector(value: Value) -> list[Sample]:
    return value if isinstance(value, list) else []


def _unnamed(sample: Sample) -> Labels:
    return frozenset(p for p in sample.labels if p[0] != "__name__")
