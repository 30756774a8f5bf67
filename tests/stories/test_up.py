"""The whole platform comes up on the sandbox, takes over what runs, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flowmaster_delivery.cli.up.tether import group_lives
from flowmaster_delivery.settings import environ_of_child

OWN = [sys.executable, "-m", "flowmaster_delivery.cli"]
ROOT = Path(__file__).parents[2]


def flowmaster(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OWN, *words],
        env=environ_of_child({"DAGSTER_HOME": str(home)}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def parents_and_groups() -> Iterator[tuple[int, int]]:
    """Of every process: from /proc, since a bare Debian has no `ps`, and by `ps` elsewhere."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-eo", "ppid=,pgid="], capture_output=True, text=True).stdout
        yield from ((int(a), int(b)) for a, b in (line.split() for line in listed.splitlines()))
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            _, parent, group = stat.read_text().rpartition(")")[2].split()[:3]
            yield int(parent), int(group)


def groups_of(launcher: int) -> set[int]:
    """Process groups of everything that the launcher started."""
    return {group for parent, group in parents_and_groups() if parent == launcher}


@contextlib.contextmanager
def launched(home: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """`flowmaster up` with its addresses, until the block ends; then it must end by itself."""
    # A background job of a shell ignores SIGINT, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("w+") as out:
        launcher = subprocess.Popen(
            [*OWN, "up", "--home", str(home), "--port", "0", "--server-port", "0"],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield launcher, _wait_for_addresses(home, launcher, log)
    finally:
        launcher.send_signal(signal.SIGINT)
        status = launcher.wait(60)
        signal.signal(signal.SIGINT, before)
    assert status == 0, log.read_text()


@pytest.mark.timeout(240)
def test_the_platform_comes_up_works_and_leaves_nothing_running(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with launched(home, tmp_path / "up.log") as (launcher, told):
        assert httpx.get(f"{told['dagster_url']}/server_info", trust_env=False).is_success
        assert flowmaster(home, "adopt", "dev").returncode == 0
        rows = json.loads(flowmaster(home, "status", "--json").stdout)
        running = [row for row in rows if row["environment"] == "dev" and row["digest"]]
        assert (len(rows), len(running)) == (87, 29)
        unknown = flowmaster(home, "plan", "production", "v9.9.9")
        assert (unknown.returncode, "Traceback" in unknown.stderr) == (2, False)
        groups = groups_of(launcher.pid)
        assert len(groups) >= 5
    assert not [group for group in groups if group_lives(group)]
    assert not (home / "up.json").exists()


def _wait_for_addresses(home: Path, launcher: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if (home / "up.json").exists():
            told: dict[str, str] = json.loads((home / "up.json").read_text())
            return told
        assert launcher.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(f"not up within 150 s: {log.read_text()}")
