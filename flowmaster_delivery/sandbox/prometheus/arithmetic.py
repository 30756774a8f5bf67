"""Prometheus' arithmetic where it is not Python's: division, sums, quantiles of histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

Bucket = tuple[float, float]
"""Upper bound and how many (or how many per second) were at most that."""


def divided(a: float, b: float) -> float:
    """As IEEE 754 has it: x / 0 is infinite, 0 / 0 is no number."""
    if b:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def added(values: Sequence[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def bound_of(text: str) -> float | None:
    """The bound that a label `le` names."""
    try:
        return float(text)
    except ValueError:
        return None


def quantile(share: float, buckets: Sequence[Bucket]) -> float:
    """`histogram_quantile` for one histogram: linear within the bucket that the rank falls into.

    NaN where there is no observation, no bucket +Inf, or nothing beside it; in the last bucket, the
    bound before it.
    """
    if share < 0 or share > 1:
        return math.copysign(math.inf, share)
    bounds, counts = _tidy(buckets)
    if not bounds or bounds[-1] != math.inf or len(bounds) < 2 or counts[-1] == 0:
        return math.nan
    rank = share * counts[-1]
    i = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if i == len(counts) - 1:
        return bounds[-2]
    if i == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[i - 1], counts[i - 1]) if i else (0.0, 0.0)
    return start + (bounds[i] - start) * divided(rank - below, counts[i] - below)


def _tidy(buckets: Sequence[Bucket]) -> tuple[list[float], list[float]]:
    """Bounds in order, those of one bound together, and counts that never fall."""
    together: dict[float, float] = {}
    for bound, count in sorted(buckets):
        together[bound] = together.get(bound, 0.0) + count
    return list(together), list(accumulate(together.values(), max))
