"""Figures: what the samples of a figure's queries come to, for the pods of one service."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from flowmaster_delivery.model.analysis import Figure, Sample
from flowmaster_delivery.policy.queries import QUANTILE

Found = tuple[float | None, float | None]
"""A value and the requests that it is of; None where there is no data."""
Answers = Sequence[Iterable[Sample]]
"""Of each part of a `Query`, in its order."""


def of_answers(figure: Figure, answers: Answers) -> Found:
    """What a figure is. Without requests, or without a limit to be a share of: no data."""
    value, requests = _found(figure, answers)
    return (None if math.isnan(value) else value), requests


def _found(figure: Figure, answers: Answers) -> tuple[float, float | None]:
    """NaN where there is no data."""
    match figure:
        case Figure.ERROR_RATE:
            requests, failed = (_total(part) for part in answers)
            return (failed / requests if requests > 0 else math.nan), requests
        case Figure.LATENCY_P95:
            buckets = _buckets(answers[0])
            return quantile(QUANTILE, buckets), buckets.get(math.inf, 0.0)
        case Figure.CPU | Figure.MEMORY:
            used, limits = answers
            return _highest_share(used, limits), None


def assigned(
    samples: Iterable[Sample], prefixes: Mapping[str, Iterable[str]]
) -> dict[str, list[Sample]]:
    """Samples of pods to the service whose prefixes they have; those of no service are left out."""
    owner = {prefix: service for service, own in prefixes.items() for prefix in own}
    found: dict[str, list[Sample]] = {service: [] for service in prefixes}
    for sample in samples:
        pod = sample.labels.get("pod", "")
        service = owner.get(pod) or owner.get(f"{pod.rpartition('-')[0]}-")
        if service is not None:
            found[service].append(sample)
    return found


def quantile(share: float, buckets: Mapping[float, float]) -> float:
    """As Prometheus' `histogram_quantile`: buckets lead from upper bounds to cumulative counts.

    Interpolated within its bucket, which begins at 0 or the bound below; in the last, infinite one
    it is the highest finite bound. NaN where there is nothing to take it from. `share` is 0 to 1.
    """
    bounds = sorted(buckets)
    if len(bounds) < 2 or bounds[-1] != math.inf:
        return math.nan
    counts = _growing(buckets[bound] for bound in bounds)
    if not counts[-1] > 0:
        return math.nan
    rank = share * counts[-1]
    at = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(bounds) - 1)
    if at == len(bounds) - 1:
        return bounds[-2]
    if at == 0 and bounds[0] <= 0:
        return bounds[0]
    low, below = (bounds[at - 1], counts[at - 1]) if at else (0.0, 0.0)
    inside = counts[at] - below
    return low + (bounds[at] - low) * ((rank - below) / inside if inside else math.nan)


def _growing(counts: Iterable[float]) -> list[float]:
    """Scrapes catch buckets in between two requests: a count below an earlier one is that one."""
    found, most = [], 0.0
    for count in counts:
        most = count if math.isnan(count) else max(most, count)
        found.append(most)
    return found


def _total(samples: Iterable[Sample]) -> float:
    return math.fsum(sample.value for sample in samples)


def _buckets(samples: Iterable[Sample]) -> dict[float, float]:
    """Over all pods, by upper bound; a bound that is no number is none of a histogram."""
    found: dict[float, float] = defaultdict(float)
    for sample in samples:
        bound = _bound(sample.labels.get("le", ""))
        if bound is not None:
            found[bound] += sample.value
    return dict(found)


def _bound(text: str) -> float | None:
    try:
        bound = float(text)
    except ValueError:
        return None
    return None if math.isnan(bound) else bound


def _highest_share(used: Iterable[Sample], limits: Iterable[Sample]) -> float:
    """Of the container that uses most of its limit; those without one are left out."""
    limit_of = {_place(sample): sample.value for sample in limits}
    shares = [
        sample.value / limit_of[place]
        for sample in used
        if (place := _place(sample)) in limit_of and limit_of[place] > 0
    ]
    return max((share for share in shares if not math.isnan(share)), default=math.nan)


def _place(sample: Sample) -> tuple[str, str]:
    return sample.labels.get("pod", ""), sample.labels.get("container", "")
