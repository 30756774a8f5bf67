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


FIRST_RELEASE = "production is healthy on the digests that were built for dev"
"""What the story says when the first release has reached production."""


def demo() -> Iterator[Figure]:
    """`git clone` and `make demo`, installation included: to the first release, and to the end."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        command = ["make", "demo", "DEMO=--exit"]
        first = None
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if FIRST_RELEASE in line:
                    first = time.perf_counter() - started
        if process.returncode or first is None:
            raise RuntimeError(f"the story was not told to its end: {process.returncode}")
        yield Figure("first_release_seconds", first, "s", 180, "from a fresh clone")
        yield Figure("demo_seconds", time.perf_counter() - started, "s", 300, "the whole story")


def tests() -> Iterator[Figure]:
    started = time.perf_counter()
    done = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    closing = re.findall(r"=+ (.*(?:passed|failed).*) in .* =+", done.stdout)
    note = closing[-1] if closing else f"exit status {done.returncode}"
    yield Figure("test_seconds", seconds, "s", 300, note)
