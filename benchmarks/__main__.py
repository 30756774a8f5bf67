"""`python -m benchmarks [NAME …]`: measure, print a table, write bench.json."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    database,
    definitions,
    fleet,
    going_back,
    idle,
    latency,
    safeguards,
    wave,
    whole,
)
from benchmarks.figures import Figure, keep, show

MEASURES: dict[str, Callable[[], Iterator[Figure]]] = {
    "definitions": definitions.measure,
    "database": database.measure,
    "idle": idle.measure,
    "fleet": fleet.measure,
    "rollback": going_back.measure,
    "kills": safeguards.kills,
    "rows": safeguards.rows,
    "wave": wave.measure,
    "latency": latency.measure,
    "tests": whole.tests,
    "demo": whole.demo,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(MEASURES)
    if unknown:
        print(f"no such measure: {', '.join(sorted(unknown))}; there are: {', '.join(MEASURES)}")
        return 2
    figures: list[Figure] = []
    broken: list[str] = []
    for name in names or MEASURES:
        print(f"measuring {name} …", flush=True)
        try:
            figures.extend(MEASURES[name]())
        except Exception as error:  # noqa: BLE001  # one that breaks must not hide the others
            broken.append(f"{name} could not be measured: {type(error).__name__}: {error}")
    show(figures)
    keep(figures, Path("bench.json"))
    print("\n".join(broken), end="\n" if broken else "")
    return 0 if not broken and all(figure.good for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
