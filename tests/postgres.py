"""A real PostgreSQL on loopback: a cluster of its own in a folder of its own, as nobody special."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from dagster import DagsterInstance

from flowmaster_delivery.sandbox.hosting import bind, port_of

ROOT = Path(__file__).parents[1]
DEBIAN = Path("/usr/lib/postgresql")
USER, PASSWORD = "flowmaster", "a password: with ' and %40 in 7Kq2vX"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "16MB",
    # A killed process loses nothing by it: only a machine without power would.
    "fsync": "off",
    "log_min_messages": "fatal",
}


class Postgres:
    """One server. Every database of it belongs to USER, whose password stands in a file."""

    def __init__(self, programs: Path) -> None:
        self._programs, self._user = programs, _somebody()
        self.folder = Path(tempfile.mkdtemp(prefix="flowmaster-postgres-"))
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        with bind() as free:
            self.port = port_of(free)
        pgpass = self.folder / "pgpass"
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        pgpass.write_text(f"127.0.0.1:{self.port}:*:{USER}:{escaped}\n")
        pgpass.chmod(0o600)
        for path in (self.folder, self.password_file, pgpass):
            os.chown(path, *_ids(self._user))
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._template: str | None = None
        self.program(
            "initdb", "--no-sync", f"--username={USER}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C", f"--pwfile={self.password_file}", f"--pgdata={self.folder / 'data'}",
        )  # fmt: skip

    def program(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the server's user; what it printed."""
        done = subprocess.run(
            [str(self._programs / name), *arguments],
            env={"PATH": os.environ["PATH"], "PGPASSFILE": str(self.folder / "pgpass")},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            **self._as_user,
        )
        assert done.returncode == 0, f"{name}: {done.stderr or done.stdout}"
        return done.stdout

    def client(self, name: str, *arguments: str) -> str:
        """Run one of those that connect to a server."""
        where = ("--host=127.0.0.1", f"--port={self.port}", f"--username={USER}", "--no-password")
        return self.program(name, *where, *arguments)

    def start(self) -> None:
        """Return when it takes connections."""
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        data = self.folder / "data"
        command = [str(self._programs / "postgres"), "-D", str(data), f"-p{self.port}", *settings]
        log = (self.folder / "log").open("ab")
        end = time.monotonic() + 30
        while not self.answers():
            if self._process is None or self._process.poll() is not None:
                # The memory of one that was killed is let go of a moment later.
                self._process = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=self.folder, **self._as_user
                )
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)
        log.close()

    def answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to all of its processes at once, as when its container or its node is gone."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """As `pg_ctl stop -m fast` does: everybody is disconnected, nothing is lost."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def database(self, template: str = "template0") -> str:
        """The name of a new, empty database."""
        self._made += 1
        name = f"test_{self._made}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def database_with_tables(self) -> str:
        """One that Dagster made its tables in: made once, and copied from then on."""
        if self._template is None:
            self._template = self.database()
            program = "import sys; from tests.postgres import make_tables; make_tables(sys.argv[1])"
            overrides = json.dumps(self.overrides(self._template))
            # In a process of its own: nobody may be connected to what is copied.
            subprocess.run([sys.executable, "-c", program, overrides], cwd=ROOT, check=True)
        return self.database(self._template)

    def connect(self, database: str) -> Any:
        made = psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=USER, password=PASSWORD
        )
        made.autocommit = True
        return made

    def execute(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """The rows of the answer; none where it has none."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def config(self, database: str, **more: object) -> dict[str, object]:
        """The `config` of our storage in dagster.yaml."""
        return {
            "hostname": "127.0.0.1",
            "port": self.port,
            "db_name": database,
            "username": USER,
            "password_file": str(self.password_file),
            **more,
        }

    def overrides(self, database: str, **more: object) -> dict[str, Any]:
        """What makes an instance use it."""
        storage = {
            "module": "flowmaster_delivery.defs.postgres",
            "class": "PostgresStorage",
            "config": self.config(database, **more),
        }
        return {"storage": {"custom": storage}, "telemetry": {"enabled": False}}

    @contextmanager
    def instance(self, folder: Path, database: str, **more: object) -> Iterator[DagsterInstance]:
        """An instance on a database; its connections, which a process keeps, are closed after."""
        with DagsterInstance.local_temp(str(folder), self.overrides(database, **more)) as made:
            yield made
            made.event_log_storage.engine.dispose()  # type: ignore[attr-defined]

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    @property
    def _as_user(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        if os.getuid() != 0:
            return {}
        uid, gid = _ids(self._user)
        return {"user": uid, "group": gid, "extra_groups": []}


@contextmanager
def a_server() -> Iterator[Postgres]:
    """One that runs; skipped with a reason where there is none, unless one is required."""
    server = Postgres(programs())
    try:
        server.start()
        yield server
    finally:
        server.remove()


def make_tables(overrides: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        DagsterInstance.local_temp(folder, json.loads(overrides)),
    ):
        pass


def programs() -> Path:
    """The folder of initdb and postgres: on the PATH, or where Debian has them."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    newest = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if newest:
        return newest[-1].parent
    required = os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1"
    missing = "no PostgreSQL on this machine (Debian: apt install postgresql)"
    raise (pytest.fail if required else pytest.skip).Exception(missing)


def _somebody() -> str:
    """Whom the server runs as where we are root: Debian's own user, or nobody."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _ids(user: str) -> tuple[int, int]:
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:  # it ended meanwhile
            continue
        ppid = re.search(r"^PPid:\s*(\d+)$", text, flags=re.MULTILINE)
        if ppid and int(ppid.group(1)) == parent:
            found.append(int(status.parent.name))
    return found
