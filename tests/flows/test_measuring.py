"""Measuring: what is asked, of which pods, and what trouble comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.measuring import judgements, measure, measure_fleet
from flowmaster_delivery.model.analysis import Figure, Limit, Measurement, MetricsRule
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import DeliveryError, Denied, Malformed, Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Pod
from flowmaster_delivery.ports import Ports
from tests.builders import NOON, a_service, production
from tests.fakes.fake_metrics import FakeMetrics
from tests.flows.conftest import Platform

API = a_service("api")
FIVE = timedelta(minutes=5)
HERE = production(metrics=MetricsRule("http://127.0.0.1:1"))
ERRORS = Limit(Figure.ERROR_RATE, 0.05, FIVE)
TWICE = Limit(Figure.LATENCY_P95, 2.0, FIVE, times_baseline=True)
AWAY = Unreachable("the metrics server did not answer in time")


def pods_of(workload: str, template: str = "11", count: int = 1) -> tuple[Pod, ...]:
    names = (f"{workload}-{template}-x{n}" for n in range(count))
    return tuple(Pod(name, None, True, template, None) for name in names)


NEW, OLD = pods_of("api", "22"), pods_of("api", "11")


@pytest.fixture
def metrics() -> FakeMetrics:
    return FakeMetrics()


@pytest.fixture
def ports(metrics: FakeMetrics) -> Ports:
    return replace(Platform().ports, metrics=metrics)


def of(
    ports: Ports,
    figure: Figure,
    pods: tuple[Pod, ...] = NEW,
    window: timedelta = FIVE,
    where: Environment = HERE,
) -> Measurement:
    return measure(API, where, pods, figure, window, ports, NOON)


@pytest.mark.parametrize(
    ("figure", "value", "requests"),
    [
        (Figure.ERROR_RATE, 0.08, 1000.0),
        (Figure.LATENCY_P95, 0.3, 1000.0),
        (Figure.CPU, 0.4, None),
        (Figure.MEMORY, 0.6, None),
    ],
)
def test_a_figure_is_measured_with_its_query_window_and_time(
    metrics: FakeMetrics, ports: Ports, figure: Figure, value: float, requests: float | None
) -> None:
    metrics.tell("api-22-", requests=1000.0, error_rate=0.08, p95=0.3, cpu=0.4, memory=0.6)
    found = of(ports, figure)
    assert (found.value, found.requests) == (pytest.approx(value), requests)
    assert (found.figure, found.window, found.at, found.error) == (figure, FIVE, NOON, "")
    assert "api-22-" in found.query


@pytest.mark.parametrize("figure", list(Figure))
def test_figures_of_old_pods_are_not_those_of_new_ones(
    metrics: FakeMetrics, ports: Ports, figure: Figure
) -> None:
    metrics.tell("api-11-", requests=9000.0, error_rate=0.5, p95=9.0, cpu=0.9, memory=0.9)
    found = of(ports, figure, NEW)
    assert found.value is None
    assert not found.error


@pytest.mark.parametrize("figure", list(Figure))
def test_no_such_series_is_no_data(ports: Ports, figure: Figure) -> None:
    found = of(ports, figure)
    assert (found.value, found.error) == (None, "")


@pytest.mark.parametrize("figure", [Figure.CPU, Figure.MEMORY])
def test_a_container_without_a_limit_has_no_share(
    metrics: FakeMetrics, ports: Ports, figure: Figure
) -> None:
    metrics.tell("api-22-", cpu=0.9, memory=0.9, limited=False)
    assert of(ports, figure).value is None


@pytest.mark.parametrize("figure", list(Figure))
@pytest.mark.parametrize(
    "error", [AWAY, Malformed("it refuses the query"), Denied("it knows us and says no")]
)
def test_trouble_of_the_metrics_server_is_said_and_not_raised(
    metrics: FakeMetrics, ports: Ports, figure: Figure, error: DeliveryError
) -> None:
    metrics.fails = error
    found = of(ports, figure)
    assert (found.value, found.error) == (None, str(error))
    assert found.query


def test_trouble_with_the_second_query_is_trouble_with_the_figure(
    metrics: FakeMetrics, ports: Ports
) -> None:
    metrics.tell("api-22-", requests=1000.0)
    requests = of(ports, Figure.ERROR_RATE) and metrics.asked[0]
    metrics.answers[metrics.asked[1]] = AWAY
    found = of(ports, Figure.ERROR_RATE)
    assert metrics.asked[2] == requests
    assert (found.value, found.error) == (None, str(AWAY))


def test_an_environment_without_metrics_says_what_to_set(ports: Ports) -> None:
    assert "metrics: {url: …}" in of(ports, Figure.CPU, where=production()).error


@pytest.mark.parametrize(
    ("pods", "window"), [((), FIVE), (NEW, timedelta(seconds=2)), (NEW, timedelta(0))]
)
def test_without_pods_or_time_nothing_is_asked(
    metrics: FakeMetrics, ports: Ports, pods: tuple[Pod, ...], window: timedelta
) -> None:
    found = of(ports, Figure.ERROR_RATE, pods, window)
    assert (found.value, found.error, metrics.asked) == (None, "", [])


# All services at once


def test_a_fleet_is_measured_by_the_same_queries_whatever_its_size(
    metrics: FakeMetrics, ports: Ports
) -> None:
    counts = {}
    for size in (2, 100):
        metrics.asked.clear()
        fleet = {f"s{n}": pods_of(f"s{n}") for n in range(size)}
        for figure in Figure:
            measure_fleet(HERE, fleet, figure, FIVE, ports, NOON)
        counts[size] = list(metrics.asked)
    assert counts[2] == counts[100]
    assert len(counts[2]) == 7


def test_each_service_of_a_fleet_gets_its_own_figure(metrics: FakeMetrics, ports: Ports) -> None:
    fleet = {"api": NEW, "web": pods_of("web", count=2), "idle": pods_of("idle"), "none": ()}
    metrics.pods = lambda: [pod.name for own in (*fleet.values(), OLD) for pod in own]
    metrics.tell("api-22-", requests=1000.0, error_rate=0.1, p95=0.5)
    metrics.tell("api-11-", requests=1000.0, error_rate=1.0, p95=5.0)
    metrics.tell("web-", requests=500.0, error_rate=0.02, p95=0.1)
    rates = measure_fleet(HERE, fleet, Figure.ERROR_RATE, FIVE, ports, NOON)
    slow = measure_fleet(HERE, fleet, Figure.LATENCY_P95, FIVE, ports, NOON)
    assert {name: one.value for name, one in rates.items()} == {
        "api": 0.1,
        "web": 0.02,
        "idle": None,
        "none": None,
    }
    assert rates["web"].requests == 1000.0
    assert (slow["api"].value, slow["web"].value) == (0.5, 0.1)
    assert "api-22-" in rates["api"].query


def test_trouble_is_trouble_for_the_whole_fleet(metrics: FakeMetrics, ports: Ports) -> None:
    metrics.fails = AWAY
    fleet = {"api": NEW, "web": pods_of("web")}
    found = measure_fleet(HERE, fleet, Figure.CPU, FIVE, ports, NOON)
    assert [one.error for one in found.values()] == [str(AWAY)] * 2


# Judgements


def test_what_runs_beside_it_in_the_same_window_is_the_baseline(
    metrics: FakeMetrics, ports: Ports
) -> None:
    metrics.tell("api-22-", requests=500.0, p95=0.9)
    metrics.tell("api-11-", requests=500.0, p95=0.04)
    before = NOON - timedelta(hours=1)
    known = Measurement(Figure.LATENCY_P95, "…", FIVE, before, 5.0, 500.0)
    (found,) = judgements(
        [TWICE], API, HERE, NEW, ports, NOON, beside=OLD, recorded={Figure.LATENCY_P95: known}
    )
    assert found.outcome is Outcome.FAILURE
    assert found.baseline is not None
    assert (found.baseline.value, found.baseline.at) == (0.04, NOON)
    assert "api-11-" in found.baseline.query


@pytest.mark.parametrize("beside", [(), OLD])
def test_without_traffic_beside_it_the_verified_period_is_the_baseline(
    metrics: FakeMetrics, ports: Ports, beside: tuple[Pod, ...]
) -> None:
    metrics.tell("api-22-", requests=500.0, p95=0.9)
    known = Measurement(Figure.LATENCY_P95, "…", FIVE, NOON - FIVE, 5.0, 500.0)
    (found,) = judgements(
        [TWICE], API, HERE, NEW, ports, NOON, beside=beside, recorded={known.figure: known}
    )
    assert (found.outcome, found.baseline) == (Outcome.SUCCESS, known)


def test_without_any_baseline_a_multiple_of_it_is_inconclusive(
    metrics: FakeMetrics, ports: Ports
) -> None:
    metrics.tell("api-22-", requests=500.0, p95=0.9)
    (found,) = judgements([TWICE], API, HERE, NEW, ports, NOON)
    assert found.outcome is Outcome.INCONCLUSIVE


def test_windows_begin_when_the_rollout_was_complete(metrics: FakeMetrics, ports: Ports) -> None:
    metrics.tell("api-22-", requests=500.0)
    since = NOON - timedelta(seconds=90.7)
    (found,) = judgements([ERRORS], API, HERE, NEW, ports, NOON, window_from=since)
    assert found.measurement.window == timedelta(seconds=90)
    assert all("[90s]" in query for query in metrics.asked)
    assert "in 1 min 30 s" in found.words


@pytest.mark.parametrize("ago", [2, 0, -10])
def test_right_after_the_rollout_nothing_is_known_yet(
    metrics: FakeMetrics, ports: Ports, ago: int
) -> None:
    metrics.tell("api-22-", requests=500.0, error_rate=1.0)
    since = NOON - timedelta(seconds=ago)
    (found,) = judgements([ERRORS], API, HERE, NEW, ports, NOON, window_from=since)
    assert (found.outcome, metrics.asked) == (Outcome.INCONCLUSIVE, [])


def test_a_server_that_is_away_is_waited_for_once_and_is_an_error_of_all(
    metrics: FakeMetrics, ports: Ports
) -> None:
    metrics.fails = AWAY
    limits = [ERRORS, TWICE, Limit(Figure.CPU, 0.7, FIVE), Limit(Figure.MEMORY, 0.8, FIVE)]
    found = judgements(limits, API, HERE, NEW, ports, NOON, beside=OLD)
    assert {one.outcome for one in found} == {Outcome.ERROR}
    assert len(metrics.asked) == 1


def test_a_query_that_is_refused_is_an_error_of_its_own_figure_alone(
    metrics: FakeMetrics, ports: Ports
) -> None:
    metrics.tell("api-22-", requests=500.0, cpu=0.1)
    metrics.failing = [Malformed("it refuses the query")]
    found = judgements([ERRORS, Limit(Figure.CPU, 0.7, FIVE)], API, HERE, NEW, ports, NOON)
    assert [one.outcome for one in found] == [Outcome.ERROR, Outcome.SUCCESS]
