"""One look at all services of all environments, on a sandbox in a process of its own.

The slowest answer is that of one look at one service, measured beside it; what is above it is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.apart import sandbox
from benchmarks.catalogs import write_catalog
from benchmarks.figures import Figure, percentile

LOOKS = 5


def measure() -> Iterator[Figure]:
    yield from _fleet(29, 1.0)
    yield from _fleet(1000, 10.0)


def _fleet(services: int, limit: float) -> Iterator[Figure]:
    with TemporaryDirectory() as folder:
        path = write_catalog(Path(folder) / "catalog.yaml", services)
        with sandbox(Path(folder), path) as far_end:
            looked = [far_end.look() for _ in range(LOOKS + 1)][1:]
    seconds = percentile([one.seconds for one in looked], 0.5)
    slowest = max(one.slowest for one in looked)
    count = looked[-1].count
    note = f"{count} services seen, all healthy; slowest answer {slowest:.2f} s; median of {LOOKS}"
    yield Figure(f"fleet_look_{services}x3", seconds, "s", limit + slowest, note)
