"""Analysis: what a measurement means for its limit. Only what was measured and is over it fails."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.outcome import Outcome, worst
from flowmaster_delivery.policy.wording import moment, span

SHORTEST = timedelta(seconds=3)
"""A window shorter than this holds too few samples to be measured over."""

NAMES = {
    Figure.ERROR_RATE: "the error rate",
    Figure.LATENCY_P95: "p95",
    Figure.CPU: "CPU",
    Figure.MEMORY: "memory",
}


def judge(measurement: Measurement, limit: Limit, baseline: Measurement | None = None) -> Judgement:
    """SUCCESS at or below the limit, FAILURE above it.

    ERROR where the metrics server was in trouble; INCONCLUSIVE where there is no data (NaN, no
    traffic, too few requests) or, for a multiple of it, no usable baseline.
    """
    compared = baseline if limit.times_baseline else None
    threshold = _threshold(limit, compared)
    doubt = _doubt(measurement, limit, compared)
    if measurement.error or (compared is not None and compared.error):
        outcome = Outcome.ERROR
    elif doubt or measurement.value is None or threshold is None:
        outcome = Outcome.INCONCLUSIVE
    else:
        outcome = Outcome.SUCCESS if measurement.value <= threshold else Outcome.FAILURE
    words = doubt or _found(measurement, limit, threshold, compared)
    return Judgement(measurement, limit, outcome, words, threshold, compared)


def verdict(judgements: Iterable[Judgement]) -> Outcome:
    """The worst of them: one failure is a failure; of no judgement nothing is known."""
    return worst(judgement.outcome for judgement in judgements)


def usable(measurement: Measurement | None, limit: Limit) -> bool:
    """Whether a measurement can be judged by, or compared with: a number, from enough requests."""
    return measurement is not None and not measurement.error and not _lack(measurement, limit)


def _threshold(limit: Limit, baseline: Measurement | None) -> float | None:
    """None where it comes to no number: a baseline of nothing has no multiple."""
    if not limit.times_baseline:
        return limit.at_most if math.isfinite(limit.at_most) else None
    if baseline is None or baseline.value is None or not usable(baseline, limit):
        return None
    threshold = limit.at_most * baseline.value
    return threshold if math.isfinite(threshold) and baseline.value > 0 else None


def _doubt(measurement: Measurement, limit: Limit, baseline: Measurement | None) -> str:
    """Why there is nothing to judge, in words; empty where there is."""
    name = NAMES[measurement.figure]
    if measurement.error:
        return f"{name} could not be measured: {measurement.error}"
    if lack := _lack(measurement, limit):
        return f"{name} is not known: {lack}"
    if _threshold(limit, baseline) is not None:
        return ""
    if not limit.times_baseline:
        return f"{name} has no limit: {limit.at_most} is none; correct it in the catalog"
    if baseline is None:
        lack = "nothing ran beside it, and no verified period is on record"
    elif baseline.error:
        lack = f"it could not be measured: {baseline.error}"
    else:
        lack = _lack(baseline, limit) or f"it was {shown(measurement.figure, baseline.value)}"
    return f"{name} has no baseline to be compared with: {lack}"


def _lack(measurement: Measurement, limit: Limit) -> str:
    """What is missing of a measurement that could be made."""
    value, requests, window = measurement.value, measurement.requests, span(measurement.window)
    if measurement.window < SHORTEST:
        return f"the window of {window} since the rollout is too short"
    if measurement.figure.counts_requests:
        needed = limit.needed_requests
        if requests is None or math.isnan(requests) or requests <= 0:
            return f"there were no requests in {window}"
        if requests < needed:
            return f"{requests:.0f} requests in {window} are too few, {needed} are needed"
    if value is None or math.isnan(value):
        limitless = "" if measurement.figure.counts_requests else ", or its container has no limit"
        return f"there is no data of {window}{limitless}"
    return ""


def _found(
    measurement: Measurement, limit: Limit, threshold: float | None, baseline: Measurement | None
) -> str:
    """`8 % of 1200 requests failed in 5 min, 5 % may`."""
    figure, window = measurement.figure, span(measurement.window)
    value, most = _apart(figure, measurement.value, threshold)
    if figure is Figure.ERROR_RATE:
        found = f"{value} of {measurement.requests:.0f} requests failed in {window}"
    elif figure is Figure.LATENCY_P95:
        found = f"p95 of {measurement.requests:.0f} requests in {window} is {value}"
    else:
        found = f"{NAMES[figure]} is at {value} of its limit in {window}"
    if baseline is None:
        return f"{found}, {most} {'may' if figure is Figure.ERROR_RATE else 'is the most'}"
    where = (
        "beside it"
        if baseline.at == measurement.at
        else f"of {moment(baseline.at, measurement.at)}, when it was verified,"
    )
    return f"{found}, {limit.at_most:g} times the {shown(figure, baseline.value)} {where} is {most}"


def shown(figure: Figure, value: float | None, digits: int = 3) -> str:
    """A value with its unit: `0.912 s`, `8 %`."""
    if value is None or math.isnan(value):
        return "unknown"
    if figure is not Figure.LATENCY_P95:
        return f"{100 * value:.{digits}g} %"
    return f"{value:.3f} s" if digits == 3 and value >= 0.001 else f"{value:.{digits}g} s"


def _apart(figure: Figure, value: float | None, threshold: float | None) -> tuple[str, str]:
    """Both in as few digits as tell them apart, so that no words contradict their outcome."""
    for digits in range(3, 18):
        pair = shown(figure, value, digits), shown(figure, threshold, digits)
        if pair[0] != pair[1] or value == threshold:
            break
    return pair
