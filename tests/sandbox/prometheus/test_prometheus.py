"""The sandbox's Prometheus answers its subset of PromQL rightly, and refuses the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from flowmaster_delivery.sandbox.figures import Load, Use
from flowmaster_delivery.sandbox.prometheus import PrometheusSandbox
from flowmaster_delivery.sandbox.prometheus.arithmetic import quantile
from flowmaster_delivery.sandbox.traffic import Traffic

BUCKET = "http_request_duration_seconds_bucket"
P95 = f"histogram_quantile(0.95, sum by ({{by}}) (rate({BUCKET}{{{{service='{{service}}'}}}}[1m])))"
CPU_SHARE = """
sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="fm-dev"}[1m]))
/ sum by (pod) (kube_pod_container_resource_limits{resource="cpu"})
"""
MEMORY_SHARE = """
sum by (pod) (container_memory_working_set_bytes)
/ sum by (pod) (kube_pod_container_resource_limits{resource="memory"})
"""
SLOW = ("fm-prod", "slow-1", "slow")
API_UP = {("fm-dev", "api-1", "api"): 1, ("fm-dev", "api-2", "api"): 1}


class World:
    """Two pods of one service, 10 and 30 requests a second; a fifth of the second's fail."""

    def __init__(self) -> None:
        self.now = 1000.0
        limited = Use("api", 0.1, 200.0, cpu_limit=0.5, memory_limit=400.0)
        self.loads = [
            Load("fm-dev", "api", "api-1", True, 10.0, 0.0, 503, 0.0, (limited,)),
            Load("fm-dev", "api", "api-2", True, 30.0, 0.2, 503),
            Load("fm-dev", "auth", "auth-1", False, 10.0, 0.0, 503, 0.0, (Use("auth", 0.3, 1.0),)),
            Load("fm-prod", "slow", "slow-1", True, 20.0, 0.0, 503, delay=0.9),
        ]
        self.traffic = Traffic(lambda: tuple(self.loads), clock=lambda: self.now)

    def live(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.traffic.advance()
            self.now += 5


@pytest.fixture
def world() -> World:
    world = World()
    world.live(120)
    return world


@pytest.fixture
def ask(world: World, client_of: Callable[..., Any]) -> Callable[[str], Any]:
    client = client_of(PrometheusSandbox(world.traffic).app)

    def query(text: str) -> Any:
        answer = client.get("/api/v1/query", params={"query": text})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        if data["resultType"] == "scalar":
            return float(data["result"][1])
        return {
            tuple(v for k, v in sorted(r["metric"].items()) if k not in ("job", "__name__")): float(
                r["value"][1]
            )
            for r in data["result"]
        }

    return query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-1", -1),
        ("vector(4)", {(): 4}),
        ('up{service="auth"}', {("fm-dev", "auth-1", "auth"): 0}),
        ('up{pod!="auth-1", pod=~"api-.*", pod!~".*-2"}', {("fm-dev", "api-1", "api"): 1}),
        ("count(up)", {(): 4}),
        ("sum(up) by (service)", {("api",): 2, ("auth",): 0, ("slow",): 1}),
        ("sum by (service) (up)", {("api",): 2, ("auth",): 0, ("slow",): 1}),
        ('sum(rate(http_requests_total{service="api"}[1m]))', {(): 40}),
        ('sum(increase(http_requests_total{service="api"}[1m]))', {(): 2400}),
        ('max(rate(http_requests_total{service="api"}[1m]))', {(): 24}),
        (
            (
                'sum(rate(http_requests_total{service="api",code=~"5.."}[1m]))'
                ' / sum(rate(http_requests_total{service="api"}[1m]))'
            ),
            {(): 0.15},
        ),
        ("100 * avg(up)", {(): 75}),
        ('up{service="api"} > 0', {("fm-dev", "api-1", "api"): 1, ("fm-dev", "api-2", "api"): 1}),
        ("up == 0", {("fm-dev", "auth-1", "auth"): 0}),
        ("nothing_of_that_name", {}),
        ("sum(nothing_of_that_name)", {}),
        ("sum(up) / vector(0)", {(): float("inf")}),
        ("sum(nothing) or vector(0)", {(): 0}),
        ('up{service="api"} or up{pod="api-1"} or vector(2)', {**API_UP, (): 2}),
        (f"sum by (le) (rate({BUCKET}{{service='auth'}}[1m])) > 0", {}),
        (P95.format(by="le", service="api"), {(): 0.05 + 0.05 * 0.25 / 0.3}),
        (P95.format(by="le, service", service="slow"), {("slow",): 0.975}),
        (f"histogram_quantile(2, {BUCKET}{{service='slow'}})", {SLOW: float("inf")}),
        ("histogram_quantile(0.5, up)", {}),
        (CPU_SHARE, {("api-1",): 0.2}),
        (MEMORY_SHARE, {("api-1",): 0.5}),
        ("max(up / up) + min(up * 2)", {(): 1}),
    ],
)
def test_a_query_of_the_subset_is_answered(
    ask: Callable[[str], Any], query: str, expected: Any
) -> None:
    assert ask(query) == pytest.approx(expected)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sum(",
        "up{",
        "up{pod=1}",
        'up{pod=~"("}',
        'up{pod=~"(a+)+b"}',
        "rate(up)",
        "rate(up[5])",
        "histogram_quantile(up, 0.9)",
        "histogram_quantile(0.9, 1)",
        "up or 1",
        "up offset 5m",
        "sum(1)",
        "1 == 1",
        "up and up",
        "up $",
        "(" * 100 + "1" + ")" * 100,
        "1" * 5000,
    ],
    ids=lambda q: q[:24] or "empty",
)
def test_any_other_query_is_refused_in_prometheus_words(
    world: World, client_of: Callable[..., Any], query: str
) -> None:
    client = client_of(PrometheusSandbox(world.traffic).app)
    answer = client.post("/api/v1/query", data={"query": query})
    assert answer.status_code == 400
    assert (answer.json()["status"], answer.json()["errorType"]) == ("error", "bad_data")
    assert answer.json()["error"]


def test_a_pod_that_is_gone_is_no_longer_up_but_its_requests_still_count(
    world: World, ask: Callable[[str], Any]
) -> None:
    del world.loads[0]
    world.live(10)
    assert ask("count(up)") == {(): 3}
    assert ask('count(rate(http_requests_total{pod="api-1"}[1m]))') == {(): 1}
    world.live(120)
    assert ask('count(rate(http_requests_total{pod="api-1"}[1m]))') == {}


def test_a_range_query_gives_a_value_for_each_step(
    world: World, client_of: Callable[..., Any]
) -> None:
    client = client_of(PrometheusSandbox(world.traffic).app)
    params = {"query": "count(up)", "start": "1050", "end": "1100", "step": "25s"}
    data = client.get("/api/v1/query_range", params=params).json()["data"]
    assert data["resultType"] == "matrix"
    assert data["result"][0]["values"] == [[1050.0, "4"], [1075.0, "4"], [1100.0, "4"]]


@pytest.mark.parametrize(
    "changed",
    [
        {"step": "0"},
        {"step": "x"},
        {"step": "1", "end": "99999"},
        {"start": "1200"},
        {"start": "nan"},
        {"end": "yesterday"},
    ],
    ids=str,
)
def test_a_range_that_makes_no_sense_is_refused(
    world: World, client_of: Callable[..., Any], changed: dict[str, str]
) -> None:
    client = client_of(PrometheusSandbox(world.traffic).app)
    params = {"query": "up", "start": "1050", "end": "1100", "step": "25"} | changed
    assert client.get("/api/v1/query_range", params=params).status_code == 400


def test_labels_and_their_values_can_be_listed(world: World, client_of: Callable[..., Any]) -> None:
    client = client_of(PrometheusSandbox(world.traffic).app)
    assert "pod" in client.get("/api/v1/labels").json()["data"]
    assert client.get("/api/v1/label/service/values").json()["data"] == ["api", "auth", "slow"]
    assert client.get("/api/v1/status/buildinfo").json()["data"]["version"].endswith("-sandbox")
    assert client.get("/-/ready").status_code == 200


def test_what_has_no_observation_has_no_quantile(ask: Callable[[str], Any]) -> None:
    assert math.isnan(ask(P95.format(by="le", service="auth"))[()])


def test_a_rate_goes_on_to_the_edges_of_its_window_but_not_before_the_counter_began(
    world: World, ask: Callable[[str], Any]
) -> None:
    world.loads.append(Load("fm-dev", "new", "new-1", True, 10.0, 0.0, 503))
    world.live(15)
    assert ask('increase(http_requests_total{service="new"}[1m])') == pytest.approx(
        {("200", "fm-dev", "new-1", "new"): 150}
    )


def test_samples_are_taken_no_more_often_than_told(world: World) -> None:
    world.traffic.every = 5.0
    before = len(world.traffic.ticks)
    for _ in range(4):
        world.traffic.advance()
        world.now += 1
    assert len(world.traffic.ticks) == before + 1


def test_what_is_older_than_the_memory_is_forgotten(world: World) -> None:
    del world.loads[1:]
    world.live(5000)
    assert {series.labels["pod"] for series in world.traffic.series()} == {"api-1"}
    assert len(world.traffic.ticks) <= 2 * 1200 / 5 + 1


@pytest.mark.parametrize(
    ("share", "buckets", "expected"),
    [
        (0.5, [(1, 0), (2, 10), (math.inf, 10)], 1.5),
        (0.0, [(1, 5), (math.inf, 5)], 0.0),
        (1.0, [(1, 5), (math.inf, 6)], 1.0),
        (0.9, [(1, 5), (2, 4), (math.inf, 5)], 0.9),
        (0.5, [(0, 5), (math.inf, 5)], 0.0),
        (-0.1, [(1, 5), (math.inf, 5)], -math.inf),
        (0.5, [(1, 5), (2, 5)], math.nan),
        (0.5, [(math.inf, 5)], math.nan),
        (0.5, [(1, 0), (math.inf, 0)], math.nan),
        (0.0, [(1, 0), (math.inf, 5)], math.nan),
        (0.5, [], math.nan),
    ],
)
def test_quantiles_are_those_of_prometheus(
    share: float, buckets: list[tuple[float, float]], expected: float
) -> None:
    assert quantile(share, buckets) == pytest.approx(expected, nan_ok=True)
