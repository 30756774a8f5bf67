"""`flowmaster alive`: what probes get of parts that work, are stuck, or are not there."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flowmaster_delivery.adapters.heartbeat_file import HeartbeatFile
from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.settings import Settings

RUNS = {"data": {"runsOrError": {"__typename": "Runs"}}}


def ask(home: Path, *words: str) -> Result:
    settings = Settings.from_environ({"DAGSTER_HOME": str(home)})
    return CliRunner().invoke(main, ["alive", *words], obj=Session(settings))


class Webserver(ThreadingHTTPServer):
    """Answers as Dagster's webserver does, as far as it is told to."""

    told: object = RUNS
    status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Webserver

    def do_GET(self) -> None:
        self._answer(b'{"dagster_webserver_version": "1"}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        told = self.server.told
        self._answer(told if isinstance(told, bytes) else json.dumps(told).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def webserver() -> Iterator[Webserver]:
    with Webserver(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def deaf() -> Iterator[str]:
    """A port that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listener:
        yield str(listener.getsockname()[1])


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def test_a_watch_that_looks_is_alive_and_ready(tmp_path: Path) -> None:
    heart = HeartbeatFile(tmp_path, "watch")
    with heart.during("production", every=20):
        pass
    found = ask(tmp_path, "watch", "--ready")
    assert (found.exit_code, found.output) == (0, "watch is ready\n")
    assert ask(tmp_path, "watch").output == "watch is alive\n"
    heart.close()
    gone = ask(tmp_path, "watch")
    assert gone.exit_code == 1
    assert gone.output == (
        "flowmaster: watch is not alive: no `flowmaster watch` is running here\n"
    )


def test_a_look_that_saw_nothing_says_why_the_watch_is_not_ready(tmp_path: Path) -> None:
    heart = HeartbeatFile(tmp_path, "watch")
    with heart.during("production", every=20) as turn:
        turn.trouble = "the API server gives no answer"
    found = ask(tmp_path, "watch", "--ready")
    assert found.exit_code == 1
    assert "watch is not ready: production: the API server gives no answer" in found.output
    assert ask(tmp_path, "watch").exit_code == 0
    heart.close()


def test_a_heartbeat_that_cannot_be_read_is_no_life(tmp_path: Path) -> None:
    heart = HeartbeatFile(tmp_path, "watch")
    with heart.during("production"):
        pass
    (tmp_path / "heartbeats" / "watch.json").write_text("[]")
    found = ask(tmp_path, "watch")
    assert (found.exit_code, "cannot be read" in found.output) == (1, True)
    heart.close()


def test_a_webserver_that_answers_is_alive_and_one_that_reads_is_ready(tmp_path: Path) -> None:
    with webserver() as server:
        port = str(server.server_port)
        assert ask(tmp_path, "webserver", "--port", port).exit_code == 0
        assert ask(tmp_path, "webserver", "--ready", "--port", port).exit_code == 0


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"data": {"runsOrError": {"__typename": "PythonError", "message": "no db"}}}, "no db"),
        ({"errors": [{"message": "cannot connect"}], "data": None}, "cannot connect"),
        ([], "cannot read the runs"),
        (b"<html>", "is not Dagster's webserver"),
    ],
)
def test_a_webserver_whose_database_is_away_is_alive_and_not_ready(
    tmp_path: Path, told: object, words: str
) -> None:
    with webserver() as server:
        server.told = told
        port = str(server.server_port)
        assert ask(tmp_path, "webserver", "--port", port).exit_code == 0
        found = ask(tmp_path, "webserver", "--ready", "--port", port)
    assert (found.exit_code, words in found.output) == (1, True), found.output


def test_a_webserver_in_trouble_says_so_by_its_status(tmp_path: Path) -> None:
    with webserver() as server:
        server.status = 503
        found = ask(tmp_path, "webserver", "--port", str(server.server_port))
    assert (found.exit_code, "answers 503" in found.output) == (1, True)


@pytest.mark.parametrize("part", ["webserver", "code"])
def test_nothing_that_listens_is_no_life(tmp_path: Path, closed: str, part: str) -> None:
    found = ask(tmp_path, part, "--port", closed)
    assert (found.exit_code, "does not answer" in found.output) == (1, True), found.output


@pytest.mark.parametrize("part", ["webserver", "code"])
def test_a_server_that_takes_calls_and_never_answers_is_told_within_its_time(
    tmp_path: Path, deaf: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowmaster_delivery.cli.alive.SECONDS", 0.5)
    began = time.monotonic()
    found = ask(tmp_path, part, "--port", deaf)
    assert (found.exit_code, "does not answer" in found.output) == (1, True), found.output
    assert time.monotonic() - began < 5


def test_a_probe_loads_nothing_heavy(tmp_path: Path) -> None:
    """It runs every few seconds in each pod."""
    code = (
        "import sys\n"
        "from flowmaster_delivery.cli import main\n"
        "try: main(['alive', 'watch'])\n"
        "except SystemExit: pass\n"
        "heavy = {'dagster', 'httpx', 'kubernetes', 'pydantic', 'sqlalchemy', 'grpc'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert said.stdout.splitlines()[-1] == "[]", said.stderr


def test_a_daemon_is_what_its_examination_found(tmp_path: Path) -> None:
    heart = HeartbeatFile(tmp_path, "daemon")
    with heart.during("loops", 15), heart.during("ticks", 15) as ticks:
        ticks.trouble = "sensor intake has never ticked"
    assert ask(tmp_path, "daemon").output == "daemon is alive\n"
    found = ask(tmp_path, "daemon", "--ready")
    said = "flowmaster: daemon is not ready: ticks: sensor intake has never ticked\n"
    assert (found.exit_code, found.output) == (1, said)
    heart.close()
    found = ask(tmp_path, "daemon")
    assert (found.exit_code, "no `flowmaster daemon` is running here" in found.output) == (1, True)
