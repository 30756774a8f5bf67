"""`flowmaster plan`: what shipping a version would do, and every reason against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from flowmaster_delivery.cli.console import out, print_reasons, short
from flowmaster_delivery.cli.listing import grid
from flowmaster_delivery.cli.session import Session


@click.command()
@click.argument("environment")
@click.argument("version")
@click.option("--service", "services", multiple=True, help="Only this one; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="The whole plan, for machines.")
@click.pass_context
def plan(
    ctx: click.Context, environment: str, version: str, services: Sequence[str], as_json: bool
) -> None:
    """What promoting VERSION to ENVIRONMENT would do now. Changes nothing.

    Exit status 0 only if all services could go; 1 if a gate is closed for any of them.
    """
    session: Session = ctx.obj
    params = {"environment": environment, "version": version, "service": list(services)}
    answer = session.server().get("/api/plan", params)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        print_plan(out(), answer)
    ctx.exit(0 if answer["open"] else 1)


def print_plan(console: Console, answer: Mapping[str, Any]) -> None:
    """A row for each service, then every unmet reason once."""
    found = answer["plan"]
    console.print(
        f"{found['repository']}@{found['version']} ({found['commit'][:8]}) to "
        f"[bold]{found['environment']}[/bold]"
    )
    table = grid(("service", "runs", "candidate", "commits", "verdict"))
    for row in found["rows"]:
        table.add_row(*_cells(row))
    console.print(table)
    reasons = list(_reasons(found["rows"]))
    if reasons:
        console.print("\nWhat is missing:", style="bold")
        print_reasons(console, reasons)
    past = list(_overridden(found["rows"]))
    if past:
        console.print("\nOverridden:", style="bold")
        print_reasons(console, past, mark="⚠", style="yellow")


def _cells(row: Mapping[str, Any]) -> tuple[str | Text, ...]:
    commits = "?" if row["commits"] is None else str(row["commits"])
    runs = f"{row['running_version'] or ''} {short(row['running_digest'])}".strip()
    return (
        row["service"],
        runs or "—",
        short(row["candidate_digest"]) or "none",
        commits,
        _verdict(row),
    )


def _verdict(row: Mapping[str, Any]) -> Text:
    closed = [c["gate"] for c in row["verdict"]["checks"] if c["state"] in CLOSED]
    if closed:
        return Text(f"closed: {', '.join(closed)}", style="red")
    if not row["changes"]:
        return Text("runs already", style="dim")
    past = [c["gate"] for c in row["verdict"]["checks"] if c["state"] == OVERRIDDEN]
    if past:
        return Text(f"open ⚠ overridden: {', '.join(past)}", style="yellow")
    return Text("open", style="green")


CLOSED = ("unmet", "unreadable")
OVERRIDDEN = "overridden"


def _reasons(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for row in rows:
        for check in row["verdict"]["checks"]:
            if check["state"] in CLOSED:
                words = check["summary"]
                if check["remedy"] and check["remedy"] != words:
                    words = f"{words}; {check['remedy']}"
                yield {"service": row["service"], "check": check["gate"], "message": words}


def _overridden(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for row in rows:
        for check in row["verdict"]["checks"]:
            if check["state"] == OVERRIDDEN:
                words = check["summary"]
                yield {"service": row["service"], "check": check["gate"], "message": words}
