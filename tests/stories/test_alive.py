"""Probes of Dagster's real servers: alive once they serve, not while they hang, and again then."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmaster_delivery.adapters.heartbeat_file import HeartbeatFile
from flowmaster_delivery.cli.up.parts import OWN, free_port
from flowmaster_delivery.settings import environ_of_child
from tests.builders import catalog_yaml
from tests.postgres import Postgres

ROOT = Path(__file__).parents[2]


class Pod:
    """A home folder, and the server that runs in it."""

    def __init__(self, folder: Path) -> None:
        catalog, key = folder / "catalog.yaml", folder / "seal-key"
        catalog.write_text(catalog_yaml(3))
        key.write_text("a key that is long enough")
        self.home, self.log, self.port = folder / "home", folder / "log", free_port(0)
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.workspace = folder / "workspace.yaml"
        self.workspace.write_text("load_from: []\n")
        self.variables = {
            "DAGSTER_HOME": str(self.home),
            "FLOWMASTER_CATALOG": str(catalog),
            "FLOWMASTER_SEAL_KEY_FILE": str(key),
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def on(self, postgres: Postgres) -> None:
        """Its instance is stored there, in a database that has its tables."""
        overrides = postgres.overrides(postgres.database_with_tables(), patience_seconds=2)
        coordinator = {
            "module": "flowmaster_delivery.defs.coordinator",
            "class": "DeliveryCoordinator",
        }
        sensors = {"use_threads": True, "num_workers": 4}
        content = {**overrides, "run_coordinator": coordinator, "sensors": sensors}
        (self.home / "dagster.yaml").write_text(json.dumps(content))

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=environ_of_child(self.variables),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def start_code_server(self) -> subprocess.Popen[bytes]:
        module = "--module-name", "flowmaster_delivery.definitions"
        where = "--host", "127.0.0.1", "--port", str(self.port)
        process = self.start("dagster", "api", "grpc", *module, *where)
        self.until_alive("code", "--ready", *self.at)
        return process

    @property
    def at(self) -> tuple[str, str]:
        return "--port", str(self.port)

    def alive(self, *words: str) -> tuple[int, str]:
        said = subprocess.run(
            [*OWN, "alive", *words],
            env=environ_of_child(self.variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=80,
        )
        return said.returncode, said.stdout + said.stderr

    def until_not(self, *words: str) -> str:
        """What it says then."""
        end = time.monotonic() + 90
        while (said := self.alive(*words))[0] == 0:
            assert time.monotonic() < end, said[1] + self.log.read_text()
            time.sleep(0.2)
        return said[1]

    def until_alive(self, *words: str) -> None:
        end = time.monotonic() + 90
        while (said := self.alive(*words))[0] != 0:
            assert time.monotonic() < end, said[1] + self.log.read_text()
            time.sleep(0.2)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    made = Pod(tmp_path)
    yield made
    made.end()


@pytest.mark.timeout(240)
def test_a_code_server_is_alive_once_it_has_loaded_and_not_while_it_hangs(pod: Pod) -> None:
    assert pod.alive("code", *pod.at)[0] == 1
    server = pod.start_code_server()
    server.send_signal(signal.SIGSTOP)
    status, said = pod.alive("code", *pod.at)
    assert (status, "does not answer: DEADLINE_EXCEEDED" in said) == (1, True), said
    server.send_signal(signal.SIGCONT)
    pod.until_alive("code", *pod.at)
    long_ago = HeartbeatFile(pod.home, "code", lambda: time.monotonic() - 700)
    with long_ago.during("intake"):
        status, said = pod.alive("code", *pod.at)
    long_ago.close()
    assert (status, "sensor intake has been evaluated for 7" in said) == (1, True), said


@pytest.mark.timeout(240)
def test_a_webserver_is_alive_once_it_answers_and_not_while_it_hangs(pod: Pod) -> None:
    where = "--host", "127.0.0.1", "--port", str(pod.port)
    server = pod.start("dagster_webserver", "--workspace", str(pod.workspace), *where)
    pod.until_alive("webserver", "--ready", *pod.at)
    assert pod.alive("webserver", *pod.at) == (0, "webserver is alive\n")
    server.send_signal(signal.SIGSTOP)
    status, said = pod.alive("webserver", *pod.at)
    assert (status, "does not answer: timed out" in said) == (1, True), said
    server.send_signal(signal.SIGCONT)
    pod.until_alive("webserver", "--ready", *pod.at)


@pytest.mark.timeout(300)
def test_a_daemon_is_ready_once_its_sensors_tick_and_outlives_its_database(
    pod: Pod, postgres: Postgres
) -> None:
    pod.on(postgres)
    pod.start_code_server()
    location = f"host: 127.0.0.1, port: {pod.port}, location_name: flowmaster-delivery"
    pod.workspace.write_text(f"load_from:\n  - grpc_server: {{{location}}}\n")
    assert pod.alive("daemon")[0] == 1
    daemon = pod.start("flowmaster_delivery.cli", "daemon", "--workspace", str(pod.workspace))
    pod.until_alive("daemon")
    pod.until_alive("daemon", "--ready")
    assert pod.alive("daemon") == (0, "daemon is alive\n")
    postgres.stop()
    try:
        said = pod.until_not("daemon", "--ready")
        assert "the database of Dagster gives no answer" in said
        assert pod.alive("daemon") == (0, "daemon is alive\n")
    finally:
        postgres.start()
    pod.until_alive("daemon", "--ready")
    assert daemon.poll() is None
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(60) == 0, pod.log.read_text()
