"""A real Prometheus that scrapes the sandbox's services, and orders to these."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flowmaster_delivery.sandbox.addresses import Addresses
from flowmaster_delivery.sandbox.hosting import bind, port_of

CONFIG = """
global: {{scrape_interval: 500ms}}
scrape_configs:
  - job_name: sandbox
    static_configs: [{{targets: ["{target}"]}}]
"""


@contextmanager
def scraping(sandbox: Addresses, folder: Path) -> Iterator[str]:
    """Its address. It has to be waited for: it needs to have scraped a few times."""
    program = shutil.which("prometheus")
    if program is None:
        required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
        (pytest.fail if required else pytest.skip)("no prometheus on this machine")
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


def order(sandbox: Addresses, **told: object) -> None:
    headers = {"Authorization": f"Bearer {sandbox.control_token}"}
    url = f"{sandbox.control_url}/sandbox/services"
    httpx.post(url, json=told, headers=headers).raise_for_status()


def eventually(question: Callable[[], bool], seconds: float = 25) -> None:
    ends = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.25)
