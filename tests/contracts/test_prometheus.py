"""The sandbox's figures and its PromQL beside those of a real Prometheus that scrapes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.model.analysis import Figure, MetricsRule
from flowmaster_delivery.policy.queries import of_fleet
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.server import Options, in_thread
from tests.contracts.metrics_servers import eventually, order, scraping

DEV = 'namespace="flowmaster-dev"'
ONE = f'{{{DEV},service="auth-service"}}'
ILL = f'{{{DEV},service="scheduling"}}'
"""A service of which every twelfth answer is an error."""
IDLE = f'{{{DEV},service="ai-agent"}}'
"""A service that nobody asks."""
RULE = MetricsRule("http://127.0.0.1")
PODS = f'{{{DEV},pod=~"auth-service-[a-z0-9]+-.+"}}'
ANY = f"count(rate(http_requests_total{ONE}[5s]))"
BUCKET = "http_request_duration_seconds_bucket"
LIMITS = "kube_pod_container_resource_limits"


def errors(of: str) -> str:
    failed = of.replace("}", ',code=~"5.."}')
    return (
        f"(sum(increase(http_requests_total{failed}[5s])) or vector(0))"
        f" / sum(increase(http_requests_total{of}[5s]))"
    )


def p95(of: str) -> str:
    return f"histogram_quantile(0.95, sum by (le, service) (rate({BUCKET}{of}[5s])))"


def share(used: str, resource: str) -> str:
    limits = f'{LIMITS}{{{DEV},resource="{resource}"}}'
    return f"max(sum by (pod) ({used}) / sum by (pod) ({limits}))"


def asked(figure: Figure) -> tuple[str, ...]:
    """What the platform asks for a figure."""
    found = of_fleet(RULE, "flowmaster-dev", figure, timedelta(seconds=5))
    return (*found.parts, found.whole)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    folder = tmp_path_factory.mktemp("sandbox") / "data"
    with in_thread(Options(folder, load_catalog(None))) as addresses:
        order(addresses, workload="scheduling", failure_rate=1 / 12)
        order(addresses, workload="ai-agent", requests_per_second=0)
        yield addresses


@pytest.fixture(scope="module")
def prometheus(sandbox: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scraping(sandbox, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def ask(url: str, query: str) -> dict[tuple[str, ...], float]:
    """Value by its labels but those of the scrape; empty while Prometheus does not answer."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=5)
    except httpx.TransportError:
        return {}
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # it still starts
        return {}
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["result"]
    return {_labels(r["metric"]): float(r["value"][1]) for r in found}


def _labels(metric: dict[str, str]) -> tuple[str, ...]:
    return tuple(v for k, v in sorted(metric.items()) if k not in ("instance", "job"))


@pytest.mark.parametrize(
    ("query", "tolerance"),
    [
        (f"sum by (service) (rate(http_requests_total{ONE}[5s]))", 0.1),
        (f"sum by (service) (increase(http_requests_total{ONE}[5s]))", 0.1),
        (f"sum by (pod) (increase(http_requests_total{PODS}[5s]))", 0.1),
        (f'sum by (service) (increase(http_requests_total{{{DEV},code=~"5.."}}[5s]))', 0.1),
        (f"count by (service) (http_requests_total{ILL})", 0.0),
        (f"100 * sum(http_requests_total{ONE}) / sum(http_requests_total{ONE})", 0.0),
        ('sum by (service) (http_requests_total{namespace=~".*-nowhere"})', 0.0),
        (f"count(http_requests_total{ONE} > 1e9)", 0.0),
        (errors(ONE), 0.0),
        (errors(ILL), 0.02),
        (errors(IDLE), 0.0),
        (errors(f'{{{DEV},service="nothing"}}'), 0.0),
        (p95(ONE), 0.02),
        (p95(f"{{{DEV}}}"), 0.02),
        (p95(IDLE), 0.0),
        (p95(f'{{{DEV},service="nothing"}}'), 0.0),
        (f"histogram_quantile(1.5, {BUCKET}{ONE})", 0.0),
        (f"histogram_quantile(0.5, {LIMITS}{{{DEV}}})", 0.0),
        (f"sum by (le) (rate({BUCKET}{ONE}[5s]))", 0.1),
        (share(f"rate(container_cpu_usage_seconds_total{{{DEV}}}[5s])", "cpu"), 0.05),
        (share(f"container_memory_working_set_bytes{{{DEV}}}", "memory"), 0.0),
        (f"min by (resource) ({LIMITS}{{{DEV}}})", 0.0),
        (f"avg by (container) ({LIMITS}{{{DEV}}})", 0.0),
        ("vector(1) / vector(0)", 0.0),
        ("vector(-1) / vector(0)", 0.0),
        ("vector(0) / vector(0)", 0.0),
        ("vector(0) / vector(0) > 0", 0.0),
        ("sum(nothing_of_that_name) or vector(0)", 0.0),
        ("vector(1) or vector(2) - 3", 0.0),
        *((query, 0.1) for figure in Figure for query in asked(figure)),
    ],
)
def test_both_answer_alike(
    sandbox: Addresses, prometheus: str, query: str, tolerance: float
) -> None:
    """They look at their own times: figures that grow come to agree once both windows are full."""
    eventually(lambda: bool(ask(prometheus, ANY)) and bool(ask(sandbox.prometheus_url, ANY)))

    def alike() -> bool:
        return ask(sandbox.prometheus_url, query) == pytest.approx(
            ask(prometheus, query), rel=tolerance, abs=0, nan_ok=True
        )

    eventually(alike)


@pytest.mark.parametrize(
    "query",
    [
        "sum(",
        "up{",
        "rate(up)",
        "1 == 1",
        "up or 1",
        "",
        'up{pod=~"("}',
        "histogram_quantile(up, 1)",
    ],
)
def test_what_prometheus_refuses_is_refused(
    sandbox: Addresses, prometheus: str, query: str
) -> None:
    eventually(lambda: bool(ask(prometheus, "vector(1)")))
    for url in (prometheus, sandbox.prometheus_url):
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query})
        assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
