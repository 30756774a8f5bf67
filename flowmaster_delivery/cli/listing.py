"""Lists of what the server has on record: a table for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from flowmaster_delivery.cli.console import out

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Row], str]]
"""The head of each column, and what stands in it of a row."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="A list of objects, for machines."
)


def print_list(
    rows: Sequence[Row],
    columns: Columns,
    *,
    as_json: bool,
    nothing: str,
    wrapped: Collection[str] = (),
) -> None:
    """A table of the rows, or the words `nothing`; `wrapped` are columns that may take lines.

    What people wrote is shown as it is: no sign in it is markup.
    """
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(nothing)
        return
    table = grid(columns, wrapped=wrapped)
    for row in rows:
        table.add_row(*(Text(cell(row)) for cell in columns.values()))
    out().print(table)


def grid(heads: Collection[str], *, wrapped: Collection[str] = ()) -> Table:
    """An empty table in the style of all others."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, no_wrap=head not in wrapped)
    return table


def minute(at: str) -> str:
    """A time as the API tells it, to its minute: `2026-03-02 12:00`."""
    return at[:16].replace("T", " ")


def within(environment: str | None) -> dict[str, str]:
    """The query of a list of one environment, or of all."""
    return {"environment": environment} if environment else {}
