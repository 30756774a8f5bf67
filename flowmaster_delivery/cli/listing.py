"""Lists of what the server has on record: a table for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flowmaster_delivery.cli.console import out
from flowmaster_delivery.model.errors import nearest

Row = Mapping[str, Any]
Columns = Mapping[str, Callable[[Row], str]]
"""The head of each column, and what stands in it of a row."""

GAP = 2
INDENT = (0, 0, 0, 4)
"""Of a sentence under its row: top, right, bottom, left."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="A list of objects, for machines."
)


class Listing(click.Group):
    """A group that lists where no command is named: `hold --json` is `hold list --json`."""

    lists = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = [self.lists, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            ctx.fail(f"there is no command {args[0]!r}; {nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def print_list(
    rows: Sequence[Row],
    columns: Columns,
    *,
    as_json: bool,
    nothing: str,
    beneath: Collection[str] = (),
) -> None:
    """A line for each row, or the words `nothing`; `beneath` are columns of whole sentences.

    What people wrote is shown as it is: no sign in it is markup.
    """
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(nothing)
        return
    heads = [head for head in columns if head not in beneath]
    print_rows(
        out(),
        heads,
        [([columns[h](row) for h in heads], [columns[h](row) for h in beneath]) for row in rows],
    )


def print_rows(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[tuple[Sequence[str | Text], Sequence[str]]],
) -> None:
    """Cells side by side, and under each line its sentences: they need more room than a column.

    A terminal gets them wrapped, a file each on one line.
    """
    lines = [[one if isinstance(one, Text) else Text(one) for one in cells] for cells, _ in rows]
    titles = [Text(head, style="bold") for head in heads]
    widths = [max(cell.cell_len for cell in column) for column in zip(titles, *lines, strict=True)]
    console.print(_side_by_side(titles, widths), soft_wrap=True)
    for cells, (_, sentences) in zip(lines, rows, strict=True):
        console.print(_side_by_side(cells, widths), soft_wrap=True)
        for sentence in filter(None, sentences):
            if console.is_terminal:
                console.print(Padding(Text(sentence), INDENT, expand=False))
            else:
                console.print(Text(" " * INDENT[3] + sentence), soft_wrap=True)


def _side_by_side(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, width in zip(cells, widths, strict=True):
        padded = cell.copy()
        padded.pad_right(width - cell.cell_len + GAP)
        line.append_text(padded)
    line.rstrip()
    return line


def grid(heads: Collection[str]) -> Table:
    """An empty table in the style of all others."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, no_wrap=True)
    return table


def minute(at: str) -> str:
    """A time as the API tells it, to its minute: `2026-03-02 12:00`."""
    return at[:16].replace("T", " ")


def within(environment: str | None) -> dict[str, str]:
    """The query of a list of one environment, or of all."""
    return {"environment": environment} if environment else {}
