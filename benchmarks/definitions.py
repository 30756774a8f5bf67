"""How long a code location takes to load: a new process, from its start to a usable repository."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.catalogs import write_catalog
from benchmarks.figures import Figure

LOAD = "from flowmaster_delivery.definitions import defs; defs().get_repository_def()"
LIMITS = {29: 2.0, 1000: 20.0}


def measure() -> Iterator[Figure]:
    for services, limit in LIMITS.items():
        yield Figure(f"definitions_load_{services}", _load(services), "s", limit)


def _load(services: int) -> float:
    """The best of three, so that neither a cold disk nor a neighbour is what is measured."""
    with TemporaryDirectory() as folder:
        catalog = write_catalog(Path(folder) / "catalog.yaml", services)
        seal = Path(folder) / "seal"
        seal.write_text("benchmark", encoding="utf-8")
        environ = {
            **os.environ,
            "FLOWMASTER_CATALOG": str(catalog),
            "FLOWMASTER_SEAL_KEY_FILE": str(seal),
            "DAGSTER_HOME": folder,
        }
        return min(_timed(environ) for _ in range(3))


def _timed(environ: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", LOAD], env=environ, check=True)
    return time.perf_counter() - started
