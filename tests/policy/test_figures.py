"""Figures: what samples come to, and what does not come to a number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.analysis import Figure, Sample
from flowmaster_delivery.policy.figures import assigned, of_answers, quantile

NAN = math.nan


def of(pod: str, value: float, **labels: str) -> Sample:
    return Sample({"pod": pod, **labels}, value)


def histogram(pod: str, **counts: float) -> list[Sample]:
    return [
        of(pod, count, le=bound.strip("b").replace("_", ".")) for bound, count in counts.items()
    ]


def test_the_error_rate_is_over_all_pods() -> None:
    requests, failed = [of("a", 900.0), of("b", 100.0)], [of("b", 50.0)]
    assert of_answers(Figure.ERROR_RATE, (requests, failed)) == (0.05, 1000.0)


def test_requests_without_a_series_of_failures_have_no_errors() -> None:
    assert of_answers(Figure.ERROR_RATE, ([of("a", 900.0)], [])) == (0.0, 900.0)


@pytest.mark.parametrize("requests", [[], [of("a", 0.0)]])
def test_no_requests_are_no_data_and_no_error_rate_of_zero(requests: list[Sample]) -> None:
    assert of_answers(Figure.ERROR_RATE, (requests, [])) == (None, 0.0)


def test_a_nan_among_the_samples_is_no_data() -> None:
    value, _ = of_answers(Figure.ERROR_RATE, ([of("a", 10.0)], [of("a", NAN)]))
    assert value is None


def test_p95_is_of_the_requests_of_all_pods_together() -> None:
    buckets = histogram("a", b0_1=90.0, b1=90.0, Inf=90.0) + histogram(
        "b", b0_1=0.0, b1=10.0, Inf=10.0
    )
    value, requests = of_answers(Figure.LATENCY_P95, (buckets,))
    assert (value, requests) == (pytest.approx(0.55), 100.0)


@pytest.mark.parametrize(
    "buckets", [[], histogram("a", b0_1=0.0, Inf=0.0), histogram("a", b0_1=5.0), [of("a", 3.0)]]
)
def test_no_requests_or_no_whole_histogram_have_no_p95(buckets: list[Sample]) -> None:
    assert of_answers(Figure.LATENCY_P95, (buckets,))[0] is None


def test_a_share_is_of_the_container_that_uses_most_of_its_own_limit() -> None:
    used = [
        of("a", 0.5, container="app"),
        of("b", 0.9, container="app"),
        of("b", 0.1, container="p"),
    ]
    limits = [
        of("a", 1.0, container="app"),
        of("b", 2.0, container="app"),
        of("b", 0.125, container="p"),
    ]
    assert of_answers(Figure.CPU, (used, limits)) == (0.8, None)


@pytest.mark.parametrize(
    "limits", [[], [of("a", 0.0, container="app")], [of("a", 1.0, container="x")]]
)
def test_without_a_limit_there_is_no_share(limits: list[Sample]) -> None:
    assert of_answers(Figure.MEMORY, ([of("a", 5.0, container="app")], limits)) == (None, None)


def test_samples_go_to_the_service_whose_pods_they_are_and_strangers_to_nobody() -> None:
    names = ("api-11-x", "api-22-x", "api-canary-33-x", "db-0", "api-11-x-0", "", "other-1-x")
    samples = [of(name, 1.0) for name in names]
    found = assigned(
        samples, {"api": ["api-11-"], "canary": ["api-canary-33-"], "db": ["db-0"], "web": []}
    )
    own = {service: [s.labels["pod"] for s in of_service] for service, of_service in found.items()}
    assert own == {"api": ["api-11-x"], "canary": ["api-canary-33-x"], "db": ["db-0"], "web": []}


COUNTS = st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=1, max_size=12)


def cumulative(counts: list[float]) -> dict[float, float]:
    bounds = [0.01 * 2**n for n in range(len(counts))]
    sums = [math.fsum(counts[: n + 1]) for n in range(len(counts))]
    return {**dict(zip(bounds, sums, strict=True)), math.inf: sums[-1]}


@given(COUNTS, st.floats(0, 1), st.floats(0, 1))
def test_a_quantile_lies_within_the_bounds_and_grows_with_its_share(
    counts: list[float], one: float, other: float
) -> None:
    buckets = cumulative(counts)
    low, high = (quantile(share, buckets) for share in sorted((one, other)))
    if math.fsum(counts) == 0:
        assert math.isnan(low)
        return
    if one > 0 and other > 0:
        assert (
            0 <= low <= high * (1 + 1e-9) <= max(b for b in buckets if b != math.inf) * (1 + 1e-6)
        )


@given(COUNTS, st.floats(0.1, 1e3))
def test_a_quantile_is_the_same_of_rates_and_of_counts(counts: list[float], factor: float) -> None:
    buckets = cumulative(counts)
    scaled = {bound: count * factor for bound, count in buckets.items()}
    assert quantile(0.95, scaled) == pytest.approx(quantile(0.95, buckets), rel=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    ("buckets", "value"),
    [
        ({0.1: 10.0, math.inf: 100.0}, 0.1),
        ({0.0: 100.0, 1.0: 100.0, math.inf: 100.0}, 0.0),
        ({1.0: 100.0, 2.0: 99.9, math.inf: 100.0}, 0.95),
        ({1.0: 100.0}, NAN),
        ({math.inf: 100.0}, NAN),
        ({1.0: NAN, math.inf: NAN}, NAN),
        ({}, NAN),
    ],
)
def test_odd_histograms_come_to_what_prometheus_makes_of_them(
    buckets: dict[float, float], value: float
) -> None:
    assert quantile(0.95, buckets) == pytest.approx(value, nan_ok=True)
