"""`flowmaster hold`: which services may not be promoted where, by whom and why."""

from __future__ import annotations

from operator import itemgetter

import click

from flowmaster_delivery.cli.listing import (
    Columns,
    Listing,
    json_option,
    minute,
    print_list,
    within,
)
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.promotion import EVERY_SERVICE

COLUMNS: Columns = {
    "id": itemgetter("id"),
    "service": itemgetter("service"),
    "environment": itemgetter("environment"),
    "by": itemgetter("author"),
    "since (UTC)": lambda row: minute(row["at"]),
    "reason": itemgetter("reason"),
}


@click.group(cls=Listing)
def hold() -> None:
    """List, place and release holds. Without a command: list them."""


@hold.command("list")
@click.option("--environment", help="Only of this one.")
@json_option
@click.pass_obj
def list_holds(session: Session, environment: str | None = None, as_json: bool = False) -> None:
    """The holds that are in force."""
    found = session.server().get("/api/holds", within(environment))
    print_list(found, COLUMNS, as_json=as_json, nothing="nothing is held", beneath=["reason"])


@hold.command()
@click.argument("environment")
@click.argument("service")
@click.option("--reason", required=True, help="Whoever meets it at night has nothing else.")
@click.pass_obj
def place(session: Session, environment: str, service: str, reason: str) -> None:
    """Hold SERVICE in ENVIRONMENT: no promotion until it is released."""
    body = {"environment": environment, "service": service, "reason": reason}
    placed = session.server().post("/api/holds", body)
    click.echo(f"{service} is held in {environment}: {placed['id']}")
    click.echo(f"undo: flowmaster hold release {placed['id']} --reason …")


@hold.command()
@click.argument("hold_id", metavar="ID")
@click.option("--reason", default="", help="Why it may go on; kept on record.")
@click.pass_obj
def release(session: Session, hold_id: str, reason: str) -> None:
    """Release the hold ID (see `flowmaster hold`)."""
    released = session.server().post(f"/api/holds/{hold_id}/release", {"reason": reason})
    what = "everything" if released["service"] == EVERY_SERVICE else released["service"]
    click.echo(f"{what} may be promoted to {released['environment']} again")
