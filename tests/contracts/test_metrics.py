"""The port `Metrics` and the platform's own queries, on the sandbox's Prometheus and a real one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.prometheus import PrometheusMetrics
from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.flows.measuring import judgements, measure, measure_fleet
from flowmaster_delivery.model.analysis import (
    Figure,
    Judgement,
    Limit,
    Measurement,
    MetricsRule,
    Sample,
)
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import Malformed, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Pod
from flowmaster_delivery.policy.figures import quantile
from flowmaster_delivery.ports import Cluster, Ports
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.server import Options, in_thread
from tests.contracts.metrics_servers import eventually, order, scraping
from tests.flows.conftest import Platform

CATALOG = load_catalog(None)
AUTH, ILL, IDLE = (CATALOG.services[name] for name in ("auth-service", "scheduling", "ai-agent"))
WINDOW = timedelta(seconds=6)
ERRORS = Limit(Figure.ERROR_RATE, 0.05, WINDOW, min_requests=3)
TWICE = Limit(Figure.LATENCY_P95, 2.0, WINDOW, times_baseline=True, min_requests=3)


@dataclass
class World:
    """One metrics server's view of the sandbox's cluster."""

    environment: Environment
    cluster: Cluster
    metrics: PrometheusMetrics

    @property
    def ports(self) -> Ports:
        return replace(Platform().ports, metrics=lambda _: self.metrics)

    def now(self) -> datetime:
        """A moment ago: what was scraped until then has arrived."""
        return datetime.now(UTC) - timedelta(seconds=1)

    def of(self, service: Service, figure: Figure) -> Measurement:
        pods = self.cluster.pods(service)
        return measure(service, self.environment, pods, figure, WINDOW, self.ports, self.now())

    def judged(self, pods: tuple[Pod, ...], beside: tuple[Pod, ...]) -> dict[Figure, Judgement]:
        found = judgements(
            [ERRORS, TWICE], AUTH, self.environment, pods, self.ports, self.now(), beside=beside
        )
        return {one.measurement.figure: one for one in found}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    folder = tmp_path_factory.mktemp("sandbox") / "data"
    with in_thread(Options(folder, CATALOG)) as addresses:
        order(addresses, workload="auth-service", requests_per_second=20)
        order(addresses, workload="scheduling", failure_rate=0.25, requests_per_second=20)
        order(addresses, workload="ai-agent", requests_per_second=0)
        yield addresses


@pytest.fixture(scope="module")
def prometheus(sandbox: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scraping(sandbox, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


@pytest.fixture(scope="module", params=["sandbox", "prometheus"])
def world(request: pytest.FixtureRequest, sandbox: Addresses) -> Iterator[World]:
    """Once it has figures of a whole window."""
    real = request.param == "prometheus"
    url = request.getfixturevalue("prometheus") if real else sandbox.prometheus_url
    clusters = KubernetesClusters(Path(sandbox.kubeconfig))
    environment = replace(CATALOG.environments["dev"], context=None, metrics=MetricsRule(url))
    found = World(environment, clusters(environment), PrometheusMetrics(url))
    eventually(lambda: (found.of(AUTH, Figure.ERROR_RATE).requests or 0) > 60)
    yield found
    found.metrics.close()
    clusters.close()


@pytest.fixture(scope="module")
def promql(prometheus: str) -> Iterator[PrometheusMetrics]:
    """A real Prometheus, for what the sandbox does not understand."""
    metrics = PrometheusMetrics(prometheus)
    eventually(lambda: bool(ask(metrics, "vector(1)")))
    yield metrics
    metrics.close()


def ask(metrics: PrometheusMetrics, expression: str) -> tuple[Sample, ...]:
    """Nothing while it starts."""
    try:
        return metrics.query(expression, datetime.now(UTC))
    except Transient:
        return ()


@pytest.mark.parametrize(
    ("service", "figure", "low", "high"),
    [
        (AUTH, Figure.ERROR_RATE, 0.0, 0.0),
        (ILL, Figure.ERROR_RATE, 0.2, 0.3),
        (AUTH, Figure.LATENCY_P95, 0.05, 0.11),
        (AUTH, Figure.CPU, 0.001, 1.0),
        (AUTH, Figure.MEMORY, 0.001, 1.0),
    ],
)
def test_each_figure_of_a_service_is_measured(
    world: World, service: Service, figure: Figure, low: float, high: float
) -> None:
    found = world.of(service, figure)
    assert not found.error
    assert found.value is not None
    assert low <= found.value <= high


@pytest.mark.parametrize("figure", list(Figure))
def test_a_query_on_record_asked_again_comes_to_the_same(world: World, figure: Figure) -> None:
    found = world.of(ILL, figure)
    (again,) = world.metrics.query(found.query, found.at)
    assert again.value == pytest.approx(found.value, rel=1e-6)


@pytest.mark.parametrize("figure", [Figure.ERROR_RATE, Figure.LATENCY_P95])
def test_a_service_that_nobody_asks_has_no_data(world: World, figure: Figure) -> None:
    found = world.of(IDLE, figure)
    assert (found.value, found.error) == (None, "")


@pytest.mark.parametrize("figure", list(Figure))
def test_a_service_measured_with_all_others_or_alone_has_the_same_figure(
    world: World, figure: Figure
) -> None:
    fleet = {name: world.cluster.pods(CATALOG.services[name]) for name in (AUTH.name, ILL.name)}
    now = world.now()
    together = measure_fleet(world.environment, fleet, figure, WINDOW, world.ports, now)
    alone = measure(ILL, world.environment, fleet[ILL.name], figure, WINDOW, world.ports, now)
    assert alone.value == pytest.approx(together[ILL.name].value)
    assert together[AUTH.name].value is not None


def test_a_query_that_is_none_is_refused_in_prometheus_words(world: World) -> None:
    with pytest.raises(Malformed, match=r"refuses the query: .*parse error"):
        world.metrics.query("sum(", world.now())


def test_what_is_not_there_is_empty_and_what_is_no_number_is_nan(world: World) -> None:
    assert world.metrics.query("nothing_of_that_name", world.now()) == ()
    (nan,) = world.metrics.query("vector(0) / vector(0)", world.now())
    assert math.isnan(nan.value)
    (scalar,) = world.metrics.query("2", world.now())
    assert scalar.value == 2.0


def test_a_bad_canary_fails_beside_a_stable_that_does_not(world: World, sandbox: Addresses) -> None:
    """Same metrics, same labels but for the pods': the canary's errors are the canary's alone."""
    canary = AUTH.canary
    bad = world.cluster.workload(ILL).images[ILL.container_name]
    order(sandbox, workload="auth-service", image=bad, failure_rate=0.5, delay=0.4)
    made = world.cluster.create_canary(AUTH, bad, pods=1, annotations={})
    try:
        stable = world.cluster.pods(AUTH)

        def judged() -> Mapping[Figure, Judgement]:
            return world.judged(world.cluster.pods(canary), beside=stable)

        eventually(lambda: {j.outcome for j in judged().values()} == {Outcome.FAILURE})
        found = judged()
        rate, slow = found[Figure.ERROR_RATE], found[Figure.LATENCY_P95]
        assert rate.measurement.value == pytest.approx(0.5, abs=0.25)
        assert slow.baseline is not None
        assert slow.baseline.value is not None
        assert slow.baseline.value < 0.2
        assert "requests failed in 6 s, 5 % may" in rate.words
        of_stable = world.judged(stable, beside=())[Figure.ERROR_RATE]
        assert (of_stable.outcome, of_stable.measurement.value) == (Outcome.SUCCESS, 0.0)
    finally:
        world.cluster.remove(canary, made.uid)


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_our_quantile_is_prometheus_own(
    promql: PrometheusMetrics, counts: list[int], share: float
) -> None:
    """Of histograms written out in the query."""
    bounds = [f"{0.1 * 2**n:.1f}" for n in range(len(counts) - 1)] + ["+Inf"]
    sums = [float(sum(counts[: n + 1])) for n in range(len(counts))]
    written = " or ".join(
        f'label_replace(vector({count:g}), "le", "{bound}", "", "")'
        for bound, count in zip(bounds, sums, strict=True)
    )
    (theirs,) = ask(promql, f"histogram_quantile({share}, {written})")
    buckets = {float(bound): count for bound, count in zip(bounds, sums, strict=True)}
    assert quantile(share, buckets) == pytest.approx(theirs.value, nan_ok=True)
