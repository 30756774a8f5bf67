"""`flowmaster canary`: which canaries run, and orders to them."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table

from flowmaster_delivery.cli.console import out, short
from flowmaster_delivery.cli.session import Session

DONE = {
    "pause": "stays in its step; go on with `flowmaster canary resume`, or it is taken away at its "
    "deadline",
    "resume": "goes on by its judgement",
    "promote": "makes way for the whole service, unjudged, if the gate is still open",
    "abort": "is taken away; the service runs what it ran",
}


@click.group(invoke_without_command=True)
@click.pass_context
def canary(ctx: click.Context) -> None:
    """Show the canaries that run; pause, resume, promote and abort them.

    An order is seen by the canary's run within seconds. Without a command: show them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(status)


@canary.command()
@click.argument("environment", required=False)
@click.option("--json", "as_json", is_flag=True, help="A list of objects, for machines.")
@click.pass_obj
def status(session: Session, environment: str | None = None, as_json: bool = False) -> None:
    """The canaries that run, with their share and their last judgement."""
    params = {"environment": environment} if environment else {}
    found = session.server().get("/api/canaries", params)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no canary is running")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("service", "environment", "image", "step", "share", "last judgement"):
        table.add_column(name, no_wrap=name != "last judgement")
    for row in found:
        image = row["version"] or short(row["digest"])
        step = f"{row['step']} of {row['steps']}"
        table.add_row(
            row["service"], row["environment"], image, step, row["share"], _last_words(row)
        )
    out().print(table)


def _last_words(row: dict[str, Any]) -> str:
    given = row["order"]
    said = row["said"] or "not judged yet"
    if row["verdict"]:
        return f"ended ({row['verdict']}): {said}"
    if given and given["command"] == "pause":
        return f"{said}; paused by {given['by']}: {given['reason']}"
    return f"{said}; asks for orders" if row["asked"] else said


def _ordering(command: str, help_: str) -> None:
    @canary.command(command, help=help_)
    @click.argument("environment")
    @click.argument("service")
    @click.option("--reason", required=True, help="Why; kept on record.")
    @click.pass_obj
    def ordered(session: Session, environment: str, service: str, reason: str) -> None:
        session.server().post(
            "/api/canaries/orders",
            {"environment": environment, "service": service, "command": command, "reason": reason},
        )
        click.echo(f"the canary of {service} in {environment} {DONE[command]}")


_ordering("pause", "Let the canary of SERVICE stay in its step; it is judged on.")
_ordering("resume", "Let a paused or undecided canary of SERVICE go on by its judgement.")
_ordering("promote", "Bring SERVICE to the canary's image at once, unjudged. The gate is asked.")
_ordering("abort", "Take the canary of SERVICE away. The service itself is not touched.")
