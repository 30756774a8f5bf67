"""`flowmaster status`: the matrix of services by environments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from flowmaster_delivery.cli.console import HEALTH, LEGEND, age, out, short
from flowmaster_delivery.cli.listing import grid, json_option
from flowmaster_delivery.cli.session import Session

Row = Mapping[str, Any]


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
    print_matrix(out(), rows, datetime.now(tz=UTC))  # noqa: TID251  # a command's edge: its clock


def print_matrix(console: Console, rows: Sequence[Row], now: datetime) -> None:
    """The matrix, and beneath it what does not fit into a cell."""
    environments = list(dict.fromkeys(row["environment"] for row in rows))
    cells = {(row["service"], row["environment"]): row for row in rows}
    table = grid(("service", *environments))
    for service in dict.fromkeys(row["service"] for row in rows):
        table.add_row(service, *(_cell(cells.get((service, e)), now) for e in environments))
    console.print(table)
    console.print(Text(LEGEND, style="dim"))
    _print_notes(console, rows)


def _cell(row: Row | None, now: datetime) -> Text:
    if row is None or row["digest"] is None:
        return Text("—", style="dim")
    symbol, style = HEALTH.get(row["health"] or "unknown", ("?", "magenta"))
    cell = Text(f"{row['version'] or '':<8} ")
    cell.append(short(row["digest"]), style="dim")
    cell.append(f" {symbol}", style=style)
    if row["hold"]:
        cell.append(" ⏸", style="yellow")
    cell.append(f" {age(row['since'], now)}", style="dim")
    return cell


def _print_notes(console: Console, rows: Iterable[Row]) -> None:
    for row in rows:
        where = f"{row['service']} in {row['environment']}"
        if row["hold"]:
            hold = row["hold"]
            words = f"⏸ {where} is held by {hold['author']}: {hold['reason']} ({hold['id']})"
            console.print(Text(words, style="yellow"))
        if row.get("note"):
            console.print(Text(f"✗ {where}: {row['note']}", style="red"))
