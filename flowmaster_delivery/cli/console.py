"""How things look on a terminal: consoles, times, and reasons grouped by what they say."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

WIDTH = 100
"""Columns when nobody says how many there are."""
NAMED = 6
"""Services that are named where many share a reason; the others are counted."""

HEALTH = {
    "healthy": ("●", "green"),
    "progressing": ("◐", "yellow"),
    "unknown": ("?", "magenta"),
    "degraded": ("✗", "red"),
    "missing": ("∅", "red"),
}
LEGEND = "● healthy  ◐ progressing  ? unknown  ✗ degraded  ∅ missing  ⏸ held"


def out() -> Console:
    """What was asked for: standard output, 100 columns where it is no terminal."""
    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else WIDTH,
        highlight=False,
        soft_wrap=False,
    )


def talk() -> Console:
    """What is said on the way: standard error."""
    return Console(file=sys.stderr, width=None if sys.stderr.isatty() else WIDTH, highlight=False)


def age(since: str | None, now: datetime) -> str:
    """How long ago, in one unit: `3m`, `31h`, `12d`."""
    if not since:
        return ""
    passed = max(now - datetime.fromisoformat(since), timedelta(0))
    seconds = int(passed.total_seconds())
    for unit, size, up_to in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172_800)):
        if seconds < up_to:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86_400}d"


def short(digest: str | None) -> str:
    """The first characters of a digest, enough to compare by eye."""
    return digest.removeprefix("sha256:")[:7] if digest else ""


def name_some(services: Iterable[str], named: int = NAMED) -> str:
    """`api-gateway, nginx`, or `22 services: api-gateway, auth-service, …` where there are many,
    only their number where but one is to be named."""
    names = list(dict.fromkeys(services))
    if len(names) <= named:
        return ", ".join(names)
    shown = f": {', '.join(names[:3])}, …" if named > 1 else ""
    return f"{len(names)} services{shown}"


def decide(incident: Mapping[str, Any]) -> str:
    """What a person may do who is asked about an incident."""
    if incident["decided_by"]:
        return f"{incident['decided_by']} has decided to roll back"
    known = incident["id"]
    return (
        f"decide: flowmaster incident approve {known}, "
        f"or flowmaster incident dismiss {known} --reason …"
    )


def print_reasons(
    console: Console,
    reasons: Iterable[Mapping[str, Any]],
    *,
    mark: str = "✗",
    style: str = "red",
) -> None:
    """Every reason once, with the services that it keeps back."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for reason in reasons:
        key = (reason.get("check") or reason.get("chapter") or "run", reason["message"])
        grouped.setdefault(key, []).append(reason.get("service") or "")
    for (check, message), services in grouped.items():
        line = Text(f"  {mark} ", style=style)
        line.append(f"{check}: ", style="bold")
        line.append(message, style="default")
        console.print(line, soft_wrap=True)
        if any(services):
            named = Text(f"      {name_some(filter(None, services))}", style="dim")
            console.print(named, soft_wrap=True)
