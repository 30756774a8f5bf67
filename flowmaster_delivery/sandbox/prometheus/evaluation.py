"""What a query comes to, over the series of the sandbox's traffic."""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from flowmaster_delivery.sandbox.prometheus.arithmetic import (
    Bucket,
    added,
    bound_of,
    divided,
    quantile,
)
from flowmaster_delivery.sandbox.prometheus.syntax import (
    COMPARISONS,
    Aggregate,
    Binary,
    Expression,
    Number,
    Quantile,
    QueryError,
    Ranged,
    Selector,
    Vector,
)
from flowmaster_delivery.sandbox.series import Series

LOOKBACK = 300.0
"""Seconds for which a sample speaks for its series, Prometheus' default."""

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an instant vector; the metric's name is the label `__name__`."""

    labels: Labels
    value: float


Value = float | list[Sample]


class Memory(Protocol):
    """All series, and when they were sampled (unix seconds, ascending)."""

    @property
    def ticks(self) -> Sequence[float]: ...
    def named(self, name: str, label: str = "", value: str = "") -> Sequence[Series]: ...


ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divided,
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
    "sum": added,
    "avg": lambda values: added(values) / len(values),
    "min": lambda values: min(_numbers(values)),
    "max": lambda values: max(_numbers(values)),
    "count": len,
}


def evaluate(expression: Expression, memory: Memory, now: float) -> Value:
    """A number, or an instant vector at `now` (unix seconds). QueryError for the impossible."""
    match expression:
        case Number(value):
            return value
        case Vector(value):
            return [Sample(frozenset(), value)]
        case Selector():
            return list(_instant(expression, memory, now))
        case Ranged():
            return list(_ranged(expression, memory, now))
        case Aggregate():
            return _aggregated(expression, evaluate(expression.inner, memory, now))
        case Quantile(share, inner):
            return _quantiles(share, evaluate(inner, memory, now))
        case Binary("or", left, right):
            return _either(evaluate(left, memory, now), evaluate(right, memory, now))
        case Binary(sign, left, right):
            return _binary(sign, evaluate(left, memory, now), evaluate(right, memory, now))


def _instant(selector: Selector, memory: Memory, now: float) -> Iterable[Sample]:
    for one in _selected(selector, memory):
        known = one.samples(memory.ticks, now - LOOKBACK, now)
        gone = one.ended is not None and one.ended <= now
        if known and not gone:
            labels = frozenset({**one.labels, "__name__": one.name}.items())
            yield Sample(labels, one.at(known[-1]))


def _ranged(call: Ranged, memory: Memory, now: float) -> Iterable[Sample]:
    """The counters here never fall, so that a window's first and last sample tell its growth."""
    begin = now - call.window
    window = memory.ticks[bisect_right(memory.ticks, begin) : bisect_right(memory.ticks, now)]
    for one in _selected(call.selector, memory):
        throughout = window and one.since <= window[0] and one.ended is None
        samples = window if throughout else one.samples(memory.ticks, begin, now)
        if len(samples) < 2:
            continue
        first, growth = one.at(samples[0]), one.at(samples[-1]) - one.at(samples[0])
        value = growth * _extrapolation(samples, first, growth, begin, now)
        value = value / call.window if call.function == "rate" else value
        yield Sample(frozenset(one.labels.items()), value)


def _extrapolation(
    samples: Sequence[float], first: float, growth: float, begin: float, end: float
) -> float:
    """What Prometheus multiplies the growth between two samples with, to get that of the window.

    It goes on to the window's edges where a sample may be just beyond, else half an interval; and
    never further back than to where the counter was zero.
    """
    seconds = samples[-1] - samples[0]
    interval = seconds / (len(samples) - 1)
    before, after = samples[0] - begin, end - samples[-1]
    if growth > 0 and first >= 0:
        before = min(before, seconds * first / growth)
    before = before if before < interval * 1.1 else interval / 2
    after = after if after < interval * 1.1 else interval / 2
    return (seconds + before + after) / seconds


def _selected(selector: Selector, memory: Memory) -> Iterable[Series]:
    exact = (m for m in selector.matchers if m.sign == "=" and m.label in ("pod", "service"))
    narrow = next(((m.label, m.value) for m in exact), ("", ""))
    for one in memory.named(selector.name, *narrow):
        if all(m.accepts(one.labels.get(m.label, "")) for m in selector.matchers):
            yield one


def _aggregated(call: Aggregate, inner: Value) -> list[Sample]:
    if isinstance(inner, float):
        raise QueryError(f"expected type instant vector in aggregation {call.function}, got scalar")
    groups: dict[Labels, list[float]] = defaultdict(list)
    for sample in inner:
        groups[frozenset(p for p in sample.labels if p[0] in call.by)].append(sample.value)
    return [Sample(k, float(AGGREGATED[call.function](v))) for k, v in groups.items()]


def _numbers(values: Sequence[float]) -> Sequence[float]:
    """What has an order: NaN counts only where there is nothing else."""
    return [value for value in values if not math.isnan(value)] or values


def _quantiles(share: float, inner: Value) -> list[Sample]:
    """Of each histogram; what has no readable bound is no bucket."""
    if isinstance(inner, float):
        raise QueryError("expected type instant vector in call to function histogram_quantile")
    groups: dict[Labels, list[Bucket]] = defaultdict(list)
    for sample in inner:
        bound = bound_of(dict(sample.labels).get("le", ""))
        if bound is not None:
            rest = frozenset(p for p in sample.labels if p[0] not in ("le", "__name__"))
            groups[rest].append((bound, sample.value))
    return [Sample(labels, quantile(share, buckets)) for labels, buckets in groups.items()]


def _either(left: Value, right: Value) -> list[Sample]:
    """The left side, and what the right side has of other labels."""
    if isinstance(left, float) or isinstance(right, float):
        raise QueryError('set operator "or" not allowed in binary scalar expression')
    known = {_unnamed(sample) for sample in left}
    return [*left, *(sample for sample in right if _unnamed(sample) not in known)]


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
