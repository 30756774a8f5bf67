"""A figure, and how a set of them is shown and kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """`limit` is the largest value that is good; None where it only stands beside another."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""

    @property
    def good(self) -> bool:
        return self.limit is None or self.value <= self.limit


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(figures: Iterable[Figure]) -> None:
    table = Table("figure", "value", "unit", "at most", "", "note")
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g}"
        verdict = "" if figure.limit is None else ("good" if figure.good else "OVER")
        value = f"{figure.value:,.0f}" if figure.value >= 1000 else f"{figure.value:.3g}"
        table.add_row(figure.name, value, figure.unit, limit, verdict, figure.note)
    Console(width=120).print(table)


def keep(figures: Iterable[Figure], path: Path) -> None:
    """Write `[{"name": …, "value": …, "unit": …}]`."""
    rows = [{"name": f.name, "value": round(f.value, 4), "unit": f.unit} for f in figures]
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
