"""A process of `flowmaster watch`: it looks, records, and ends soon whatever it waits for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.settings import environ_of_child
from tests.builders import catalog_yaml
from tests.contracts.clusters import CONTEXT, sandbox

ROOT = Path(__file__).parents[2]
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/flowmaster-watch.dev"
SEAL_KEY = "a key that is long enough"


class Installation:
    """A folder with what a watch process of `dev` needs, and a cluster of one context."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        catalog, key = folder / "catalog.yaml", folder / "seal-key"
        dev = f"dev: {{namespace: default, context: {CONTEXT}, health: {{look_every: 1s}},"
        catalog.write_text(catalog_yaml(3).replace("dev: {namespace: d,", dev))
        key.write_text(SEAL_KEY)
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.home, self.log = folder / "home", folder / "log"
        self.variables = {
            "DAGSTER_HOME": str(self.home),
            "FLOWMASTER_CATALOG": str(catalog),
            "FLOWMASTER_SEAL_KEY_FILE": str(key),
            "FLOWMASTER_KUBECONFIG": str(kubeconfig),
            "FLOWMASTER_WATCH_APART": "1",
        }
        self.started: list[subprocess.Popen[bytes]] = []

    def watch(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flowmaster_delivery.cli", "watch", *words],
                env=environ_of_child(self.variables),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def seen(self) -> dict[str, HealthState]:
        with DagsterInstance.from_config(str(self.home)) as instance:
            history = DagsterHistory(instance, SEAL_KEY)
            names = [f"service-{n}" for n in range(3)]
            found = {name: history.observations(name, "dev", limit=1) for name in names}
        return {name: looks[0].state for name, looks in found.items() if looks}

    def until(self, true: Callable[[], bool], seconds: float = 80.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)


def an_end(process: subprocess.Popen[bytes]) -> int:
    """Its status after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with sandbox(folder) as target:
        yield target.kubeconfig


@pytest.fixture
def installation(tmp_path: Path, kubeconfig: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, kubeconfig)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.timeout(180)
def test_it_looks_records_and_gives_its_lease_up_at_the_end(installation: Installation) -> None:
    api = Api(connect(Path(installation.variables["FLOWMASTER_KUBECONFIG"]), CONTEXT))
    process = installation.watch("--environment", "dev")
    installation.until(lambda: len(installation.seen()) == 3)
    assert set(installation.seen().values()) == {HealthState.MISSING}
    assert api.get(LEASE)["spec"]["holderIdentity"]
    assert an_end(process) == 0, installation.log.read_text()
    assert api.get(LEASE)["spec"]["holderIdentity"] == ""


@pytest.mark.timeout(180)
def test_of_two_the_second_stands_by_until_the_first_ends(installation: Installation) -> None:
    first = installation.watch("--environment", "dev")
    installation.until(lambda: "dev: looking" in installation.log.read_text())
    installation.watch("--environment", "dev")
    installation.until(lambda: "dev: standing by" in installation.log.read_text())
    assert installation.log.read_text().count("dev: looking") == 1
    assert an_end(first) == 0
    installation.until(lambda: installation.log.read_text().count("dev: looking") == 2)


ENDLESS = """
import threading, time
from flowmaster_delivery.cli.watch import until_told

def endless(_stop):
    threading.Thread(target=time.sleep, args=[3600]).start()
    print("ready", flush=True)
    time.sleep(3600)

until_told([endless, lambda stop: stop.wait()], grace=0.2)
"""


def test_a_look_that_never_ends_keeps_no_process_from_its_end() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


@pytest.mark.timeout(120)
def test_an_environment_that_is_not_in_the_catalog_is_wrong_usage(
    installation: Installation,
) -> None:
    process = installation.watch("--environment", "dve")
    assert process.wait(60) == 2
    assert "there is no environment 'dve'" in installation.log.read_text()
