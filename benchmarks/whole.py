"""What a newcomer waits for: a fresh clone to the end of the demo, and the whole test suite."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure

ROOT = Path(__file__).parent.parent


def demo() -> Iterator[Figure]:
    """`git clone` and `make demo`, installation included."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        subprocess.run(["make", "demo", "DEMO=--exit"], cwd=folder, check=True)
        yield Figure("demo_seconds", time.perf_counter() - started, "s", 180)


def tests() -> Iterator[Figure]:
    started = time.perf_counter()
    done = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    closing = re.findall(r"=+ (.*(?:passed|failed).*) in .* =+", done.stdout)
    note = closing[-1] if closing else f"exit status {done.returncode}"
    yield Figure("test_seconds", seconds, "s", 300, note)
