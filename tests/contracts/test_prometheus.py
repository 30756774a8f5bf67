"""The sandbox's figures and its PromQL beside those of a real Prometheus that scrapes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.hosting import bind, port_of
from flowmaster_delivery.sandbox.server import Options, in_thread

CONFIG = """
global: {{scrape_interval: 500ms}}
scrape_configs:
  - job_name: sandbox
    static_configs: [{{targets: ["{target}"]}}]
"""
ONE = '{namespace="flowmaster-dev",service="auth-service"}'
ANY = f"count(rate(http_requests_total{ONE}[3s]))"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    folder = tmp_path_factory.mktemp("sandbox") / "data"
    with in_thread(Options(folder, load_catalog(None))) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def prometheus(sandbox: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus that has scraped the sandbox's services a few times."""
    program = shutil.which("prometheus")
    if program is None:
        required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
        (pytest.fail if required else pytest.skip)("no prometheus on this machine")
    folder = tmp_path_factory.mktemp("prometheus")
    target = sandbox.services_url.removeprefix("http://")
    (folder / "prometheus.yml").write_text(CONFIG.format(target=target))
    with bind() as free:
        port = port_of(free)
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    log = (folder / "log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def ask(url: str, query: str) -> dict[str, float]:
    """Value by the service label; empty while Prometheus does not answer."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=5)
    except httpx.TransportError:
        return {}
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["result"]
    return {r["metric"].get("service", ""): float(r["value"][1]) for r in found}


def eventually(question: Callable[[], bool], seconds: float = 25) -> None:
    ends = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.25)


@pytest.mark.parametrize(
    ("query", "tolerance"),
    [
        (f"sum by (service) (rate(http_requests_total{ONE}[3s]))", 0.25),
        (f"sum by (service) (increase(http_requests_total{ONE}[3s]))", 0.25),
        (f"count by (service) (http_requests_total{ONE})", 0.0),
        (f"100 * sum(http_requests_total{ONE}) / sum(http_requests_total{ONE})", 0.0),
        ('sum by (service) (http_requests_total{namespace=~".*-nowhere"})', 0.0),
        (f"count(http_requests_total{ONE} > 1e9)", 0.0),
    ],
)
def test_both_answer_alike(
    sandbox: Addresses, prometheus: str, query: str, tolerance: float
) -> None:
    """They look at their own times: figures that grow come to agree once both windows are full."""
    eventually(lambda: bool(ask(prometheus, ANY)) and bool(ask(sandbox.prometheus_url, ANY)))

    def alike() -> bool:
        return ask(sandbox.prometheus_url, query) == pytest.approx(
            ask(prometheus, query), rel=tolerance
        )

    eventually(alike)


@pytest.mark.parametrize("query", ["sum(", "up{", "rate(up)", "1 == 1", 'up{pod=~"("}', ""])
def test_what_prometheus_refuses_is_refused(
    sandbox: Addresses, prometheus: str, query: str
) -> None:
    eventually(lambda: bool(ask(prometheus, "vector(1)")))
    for url in (prometheus, sandbox.prometheus_url):
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query})
        assert (answer.status_code, answer.json()["errorType"]) == (400, "bad_data")
