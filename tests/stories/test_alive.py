"""Probes of Dagster's real servers: alive once they serve, not while they hang, and again then."""

from __future__ import annotations

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
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words, "--host", "127.0.0.1", "--port", str(self.port)],
                env=environ_of_child(self.variables),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def alive(self, *words: str) -> tuple[int, str]:
        said = subprocess.run(
            [*OWN, "alive", *words, "--port", str(self.port)],
            env=environ_of_child(self.variables),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=80,
        )
        return said.returncode, said.stdout + said.stderr

    def until_alive(self, *words: str) -> None:
        end = time.monotonic() + 90
        while (said := self.alive(*words))[0] != 0:
            assert time.monotonic() < end, said[1] + self.log.read_text()
            time.sleep(0.2)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    made = Pod(tmp_path)
    yield made
    made.end()


@pytest.mark.timeout(240)
def test_a_code_server_is_alive_once_it_has_loaded_and_not_while_it_hangs(pod: Pod) -> None:
    assert pod.alive("code")[0] == 1
    server = pod.start("dagster", "api", "grpc", "--module-name", "flowmaster_delivery.definitions")
    pod.until_alive("code", "--ready")
    server.send_signal(signal.SIGSTOP)
    status, said = pod.alive("code")
    assert (status, "does not answer: DEADLINE_EXCEEDED" in said) == (1, True), said
    server.send_signal(signal.SIGCONT)
    pod.until_alive("code")
    long_ago = HeartbeatFile(pod.home, "code", lambda: time.monotonic() - 200)
    with long_ago.during("intake"):
        status, said = pod.alive("code")
    long_ago.close()
    assert (status, "sensor intake has been evaluated for 2" in said) == (1, True), said


@pytest.mark.timeout(240)
def test_a_webserver_is_alive_once_it_answers_and_not_while_it_hangs(pod: Pod) -> None:
    server = pod.start("dagster_webserver", "--workspace", str(pod.workspace))
    pod.until_alive("webserver", "--ready")
    assert pod.alive("webserver") == (0, "webserver is alive\n")
    server.send_signal(signal.SIGSTOP)
    status, said = pod.alive("webserver")
    assert (status, "does not answer: timed out" in said) == (1, True), said
    server.send_signal(signal.SIGCONT)
    pod.until_alive("webserver", "--ready")
