"""`flowmaster status`: the matrix of services by environments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from flowmaster_delivery.cli.console import HEALTH, LEGEND, age, decide, name_some, out, short
from flowmaster_delivery.cli.listing import grid, json_option
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.promotion import EVERY_SERVICE

Row = Mapping[str, Any]
WIDE = 100
"""Columns that three environments need; with fewer a digest is shown where there is no version."""


@click.command()
@json_option
@click.pass_obj
def status(session: Session, as_json: bool) -> None:
    """What runs where: version, digest, health and since when, of every service.

    --json: objects with service, environment, version, digest, health, hold, since; null where
    there is none.
    """
    rows = session.server().get("/api/status")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    asked = session.server().get("/api/incidents", {"open": "1"})
    print_matrix(out(), rows, datetime.now(tz=UTC))  # noqa: TID251  # a command's edge: its clock
    print_open(out(), asked)


def print_matrix(console: Console, rows: Sequence[Row], now: datetime) -> None:
    """The matrix, and beneath it what does not fit into a cell."""
    environments = list(dict.fromkeys(row["environment"] for row in rows))
    cells = {(row["service"], row["environment"]): row for row in rows}
    table = grid(("service", *environments))
    narrow = console.width < WIDE
    for service in dict.fromkeys(row["service"] for row in rows):
        found = (cells.get((service, environment)) for environment in environments)
        table.add_row(service, *(_cell(row, now, narrow=narrow) for row in found))
    console.print(table)
    console.print(Text(LEGEND, style="dim"))
    _print_notes(console, rows)


def print_open(console: Console, incidents: Iterable[Row]) -> None:
    """What waits for a person, or is on its way back."""
    for incident in incidents:
        names, asked = name_some(incident["services"]), incident["state"] == "asked"
        where = f"{names} in {incident['environment']}"
        state = "waits for a person" if asked else "is being rolled back"
        words = f"! {where} {state}: {incident['reason']} (incident {incident['id']})"
        console.print(Text(words, style="yellow"))
        if asked:
            console.print(Text(f"  {decide(incident)}", style="yellow"))


def _cell(row: Row | None, now: datetime, *, narrow: bool) -> Text:
    if row is None or row["digest"] is None:
        return Text("—", style="dim")
    symbol, style = HEALTH.get(row["health"] or "unknown", ("?", "magenta"))
    version, digest = row["version"] or "", short(row["digest"])
    cell = Text(f"{version or digest if narrow else version:<8} ")
    if not narrow:
        cell.append(f"{digest} ", style="dim")
    cell.append(symbol, style=style)
    if row["hold"]:
        cell.append(" ⏸", style="yellow")
    cell.append(f" {age(row['since'], now)}", style="dim")
    return cell


def _print_notes(console: Console, rows: Iterable[Row]) -> None:
    said = set()
    for row in rows:
        where = f"{row['service']} in {row['environment']}"
        hold = row["hold"]
        if hold and hold["id"] not in said:
            said.add(hold["id"])
            if hold["service"] == EVERY_SERVICE:
                where = f"everything in {row['environment']}"
            held = "has one source held" if hold["fingerprint"] else "is held"
            words = f"⏸ {where} {held} by {hold['author']}: {hold['reason']} ({hold['id']})"
            console.print(Text(words, style="yellow"))
        if row.get("note"):
            console.print(Text(f"✗ {where}: {row['note']}", style="red"))
