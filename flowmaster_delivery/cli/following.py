"""Following a run to its end: what moves is said, every reason is printed, the status tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from flowmaster_delivery.cli.console import print_reasons
from flowmaster_delivery.cli.session import Server, Session
from flowmaster_delivery.model.errors import Transient

INTERVAL = 1.0
"""Seconds between two looks at a run."""
PATIENCE = 60.0
"""Seconds within which the rollout of an admitted promotion must have begun."""
LOST = 20
"""Looks in a row that may fail before a run is given up for out of reach."""

WORDS = {
    "QUEUED": "waits in the queue",
    "NOT_STARTED": "is being prepared",
    "STARTING": "starts",
    "STARTED": "is under way",
    "CANCELING": "is being called off",
    "CANCELED": "was called off",
    "SUCCESS": "ended well",
    "FAILURE": "failed",
}
Run = Mapping[str, Any]


def follow(session: Session, server: Server, run_id: str, console: Console) -> Run:
    """Wait for the end of a run and answer with it; what changes on the way is printed."""
    said: set[str] = set()
    while True:
        run = _look(session, server, run_id)
        _tell(run, said, console)
        if run["finished"]:
            return run
        session.pause(INTERVAL)


def follow_shipping(
    session: Session, server: Server, promotion: str, console: Console
) -> Run | None:
    """The run that ships what a promotion admitted, followed to its end; None if none began."""
    waited = 0.0
    while waited <= PATIENCE:
        following = _look(session, server, promotion)["next"]
        if following:
            console.print(f"rollout: {following['url']}")
            return follow(session, server, following["run"], console)
        session.pause(INTERVAL)
        waited += INTERVAL
    return None


def conclude(run: Run, console: Console) -> int:
    """Print how a run ended; the exit status that says so."""
    if run["state"] == "SUCCESS":
        return 0
    console.print(f"[red]the run {WORDS.get(run['state'], run['state'])}[/red]: {run['url']}")
    print_reasons(console, run["reasons"])
    return 1


def _look(session: Session, server: Server, run_id: str) -> Run:
    for _ in range(LOST):
        try:
            run: Run = server.get(f"/api/runs/{run_id}")
        except Transient:
            session.pause(INTERVAL)
        else:
            return run
    last: Run = server.get(f"/api/runs/{run_id}")
    return last


def _tell(run: Run, said: set[str], console: Console) -> None:
    state = f"the run {WORDS.get(run['state'], run['state'])}"
    if state not in said and not run["finished"]:
        said.add(state)
        console.print(f"[dim]{state}[/dim]")
    for step, became in run["steps"].items():
        service, _, chapter = step.partition("/")
        if chapter == "deployment" and became in ("SUCCESS", "FAILURE") and step not in said:
            said.add(step)
            mark = "[green]✓[/green]" if became == "SUCCESS" else "[red]✗[/red]"
            console.print(f"  {mark} {service}")
