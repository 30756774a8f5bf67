"""Analysis: no data neither passes nor fails; trouble of the metrics server is no failure."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.policy.analysis import judge, verdict
from tests.builders import NOON

FIVE = timedelta(minutes=5)
ERRORS = Limit(Figure.ERROR_RATE, 0.05, FIVE)
TWICE = Limit(Figure.LATENCY_P95, 2.0, FIVE, times_baseline=True)
NAN = math.nan


def a_measurement(
    value: float | None,
    requests: float | None = 1200.0,
    figure: Figure = Figure.ERROR_RATE,
    **fields: object,
) -> Measurement:
    given: dict[str, object] = {"query": "…", "window": FIVE, "at": NOON, **fields}
    return Measurement(figure=figure, value=value, requests=requests, **given)  # type: ignore[arg-type]


def p95(value: float | None, requests: float | None = 400.0, **fields: object) -> Measurement:
    return a_measurement(value, requests, Figure.LATENCY_P95, **fields)


# Words and outcomes


@pytest.mark.parametrize(
    ("measurement", "limit", "baseline", "outcome", "words"),
    [
        (
            a_measurement(0.08),
            ERRORS,
            None,
            Outcome.FAILURE,
            "8 % of 1200 requests failed in 5 min, 5 % may",
        ),
        (
            a_measurement(0.0),
            ERRORS,
            None,
            Outcome.SUCCESS,
            "0 % of 1200 requests failed in 5 min, 5 % may",
        ),
        (
            a_measurement(0.0500001),
            ERRORS,
            None,
            Outcome.FAILURE,
            "5.00001 % of 1200 requests failed in 5 min, 5 % may",
        ),
        (
            a_measurement(0.08, 59.4),
            ERRORS,
            None,
            Outcome.INCONCLUSIVE,
            "the error rate is not known: 59 requests in 5 min are too few, 60 are needed",
        ),
        (
            a_measurement(None, None),
            ERRORS,
            None,
            Outcome.INCONCLUSIVE,
            "the error rate is not known: there were no requests in 5 min",
        ),
        (
            a_measurement(None, window=timedelta(seconds=2)),
            ERRORS,
            None,
            Outcome.INCONCLUSIVE,
            "the error rate is not known: the window of 2 s since the rollout is too short",
        ),
        (
            a_measurement(None, None, error="the metrics server did not answer in time"),
            ERRORS,
            None,
            Outcome.ERROR,
            "the error rate could not be measured: the metrics server did not answer in time",
        ),
        (
            p95(0.912),
            TWICE,
            p95(0.04),
            Outcome.FAILURE,
            "p95 of 400 requests in 5 min is 0.912 s, 2 times the 0.040 s beside it is 0.080 s",
        ),
        (
            p95(0.07),
            TWICE,
            p95(0.04, at=NOON - timedelta(hours=2)),
            Outcome.SUCCESS,
            (
                "p95 of 400 requests in 5 min is 0.070 s, 2 times the 0.040 s of 10:00 UTC, when "
                "it was verified, is 0.080 s"
            ),
        ),
        (
            p95(0.912),
            TWICE,
            None,
            Outcome.INCONCLUSIVE,
            (
                "p95 has no baseline to be compared with: nothing ran beside it, and no verified "
                "period is on record"
            ),
        ),
        (
            p95(0.912),
            TWICE,
            p95(0.04, 12),
            Outcome.INCONCLUSIVE,
            (
                "p95 has no baseline to be compared with: 12 requests in 5 min are too few, 20 are "
                "needed"
            ),
        ),
        (
            p95(0.912),
            TWICE,
            p95(0.0),
            Outcome.INCONCLUSIVE,
            "p95 has no baseline to be compared with: it was 0 s",
        ),
        (
            p95(0.912),
            TWICE,
            p95(None, None, error="it is away"),
            Outcome.ERROR,
            "p95 has no baseline to be compared with: it could not be measured: it is away",
        ),
        (
            a_measurement(0.75, None, Figure.CPU),
            Limit(Figure.CPU, 0.7, FIVE),
            None,
            Outcome.FAILURE,
            "CPU is at 75 % of its limit in 5 min, 70 % is the most",
        ),
        (
            a_measurement(None, None, Figure.MEMORY),
            Limit(Figure.MEMORY, 0.8, FIVE),
            None,
            Outcome.INCONCLUSIVE,
            "memory is not known: there is no data of 5 min, or its container has no limit",
        ),
        (
            a_measurement(0.08),
            replace(ERRORS, at_most=NAN, min_requests=1),
            None,
            Outcome.INCONCLUSIVE,
            "the error rate has no limit: nan is none; correct it in the catalog",
        ),
    ],
)
def test_a_judgement_says_what_was_found_and_what_may_be(
    measurement: Measurement,
    limit: Limit,
    baseline: Measurement | None,
    outcome: Outcome,
    words: str,
) -> None:
    found = judge(measurement, limit, baseline)
    assert (found.outcome, found.words) == (outcome, words)


def test_exactly_the_limit_is_within_it() -> None:
    assert judge(a_measurement(0.05), ERRORS).outcome is Outcome.SUCCESS


def test_the_baseline_and_what_it_came_to_are_part_of_the_judgement() -> None:
    found = judge(p95(0.912), TWICE, p95(0.04))
    assert (found.baseline, found.threshold) == (p95(0.04), 0.08)


def test_a_baseline_is_not_part_of_a_judgement_that_needs_none() -> None:
    assert judge(a_measurement(0.01), ERRORS, a_measurement(NAN)).baseline is None


def test_of_no_judgement_nothing_is_known() -> None:
    assert verdict(()) is Outcome.INCONCLUSIVE


# Invariants, whatever the numbers

NUMBERS = st.floats(0, 1e9)
ANY_NUMBER = st.none() | st.floats()
LIMITS = st.builds(
    Limit,
    figure=st.sampled_from(Figure),
    at_most=st.floats(1e-6, 100),
    window=st.just(FIVE),
    times_baseline=st.booleans(),
    min_requests=st.none() | st.integers(0, 1000),
)


def measured(limit: Limit, value: float | None, requests: float | None = 1e12) -> Measurement:
    return a_measurement(value, requests, limit.figure)


@given(LIMITS, st.sampled_from([None, NAN]), ANY_NUMBER, ANY_NUMBER)
def test_no_data_and_nan_neither_pass_nor_fail(
    limit: Limit, value: float | None, requests: float | None, baseline: float | None
) -> None:
    found = judge(measured(limit, value, requests), limit, measured(limit, baseline))
    assert found.outcome is Outcome.INCONCLUSIVE


@given(LIMITS, ANY_NUMBER, ANY_NUMBER, ANY_NUMBER)
def test_trouble_of_the_metrics_server_is_an_error_and_never_a_failure(
    limit: Limit, value: float | None, requests: float | None, baseline: float | None
) -> None:
    measurement = replace(measured(limit, value, requests), error="it is away")
    found = judge(measurement, limit, measured(limit, baseline))
    assert found.outcome is Outcome.ERROR


@given(LIMITS, NUMBERS, st.none() | st.floats(max_value=0.0) | st.sampled_from([NAN, math.inf]))
def test_without_a_positive_finite_baseline_there_is_no_judgement_by_it(
    limit: Limit, value: float, baseline: float | None
) -> None:
    by_baseline = replace(limit, times_baseline=True)
    found = judge(measured(limit, value), by_baseline, measured(limit, baseline))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert judge(measured(limit, value), by_baseline, None).outcome is Outcome.INCONCLUSIVE


@given(LIMITS, NUMBERS, NUMBERS, st.floats(1e-6, 1e6))
def test_more_is_never_better(limit: Limit, one: float, other: float, baseline: float) -> None:
    low, high = sorted((one, other))
    beside = measured(limit, baseline)
    better = judge(measured(limit, low), limit, beside).outcome
    worse = judge(measured(limit, high), limit, beside).outcome
    assert (better, worse) != (Outcome.FAILURE, Outcome.SUCCESS)


@given(LIMITS, NUMBERS, st.none() | st.floats(0, 1e6) | st.just(NAN))
def test_fewer_requests_than_are_needed_decide_nothing(
    limit: Limit, value: float, requests: float | None
) -> None:
    assume(limit.figure.counts_requests)
    assume(not (requests is not None and requests > 0 and requests >= limit.needed_requests))
    found = judge(measured(limit, value, requests), limit, measured(limit, 1.0))
    assert found.outcome is Outcome.INCONCLUSIVE


@given(LIMITS, NUMBERS, st.floats(1e-6, 1e6))
def test_a_failure_is_a_number_above_a_number(limit: Limit, value: float, baseline: float) -> None:
    found = judge(measured(limit, value), limit, measured(limit, baseline))
    assert found.threshold is not None
    assert found.outcome is (Outcome.FAILURE if value > found.threshold else Outcome.SUCCESS)


@given(st.floats(0, 1), st.floats(1e-6, 1))
def test_words_do_not_contradict_the_outcome(value: float, most: float) -> None:
    limit = Limit(Figure.ERROR_RATE, most, FIVE)
    found = judge(a_measurement(value, 1e9), limit)
    first, last = found.words.split(" %")[0], found.words.rsplit(" %", 1)[0].split()[-1]
    failed = found.outcome is Outcome.FAILURE
    assert float(first) >= float(last) if failed else float(first) <= float(last)


@given(st.lists(st.sampled_from(Outcome), min_size=1))
def test_one_failure_is_a_failure_and_success_needs_all(outcomes: list[Outcome]) -> None:
    found = [Judgement(a_measurement(0.0), ERRORS, outcome, "") for outcome in outcomes]
    assert (verdict(found) is Outcome.FAILURE) == (Outcome.FAILURE in outcomes)
    assert (verdict(found) is Outcome.SUCCESS) == (set(outcomes) == {Outcome.SUCCESS})
