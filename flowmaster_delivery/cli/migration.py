"""`flowmaster migration`: at which version each schema is, and saying so after mending one."""

from __future__ import annotations

from operator import itemgetter

import click

from flowmaster_delivery.cli.listing import (
    Columns,
    Listing,
    Row,
    json_option,
    minute,
    print_list,
    within,
)
from flowmaster_delivery.cli.session import Session


@click.group(cls=Listing)
def migration() -> None:
    """List schemas, and say at which version one is. Without a command: list them."""


@migration.command("list", short_help="Schemas, and what was done to them last.")
@click.argument("environment", required=False)
@json_option
@click.pass_obj
def list_schemas(session: Session, environment: str | None = None, as_json: bool = False) -> None:
    """The schemas, everywhere or in ENVIRONMENT, with what was done to them last."""
    found = session.server().get("/api/migrations", within(environment))
    nothing = "no service works on a schema"
    print_list(found, COLUMNS, as_json=as_json, nothing=nothing, beneath=["note"])


def _last(row: Row) -> Row:
    nothing = {"at": "", "asked_by": "", "message": "nothing is on record"}
    last: Row = row["last"] or nothing
    return last


COLUMNS: Columns = {
    "schema": itemgetter("job"),
    "environment": itemgetter("environment"),
    "version": lambda row: "?" if row["version"] is None else str(row["version"]),
    "since (UTC)": lambda row: minute(_last(row)["at"]),
    "by": lambda row: _last(row)["asked_by"],
    "note": lambda row: row["trouble"] or _last(row)["message"],
}


@migration.command()
@click.argument("job")
@click.argument("environment")
@click.option("--version", type=int, required=True, help="At which the schema is now.")
@click.option("--reason", required=True, help="What was mended, and how you know.")
@click.pass_obj
def settle(session: Session, job: str, environment: str, version: int, reason: str) -> None:
    """Say that the schema of JOB in ENVIRONMENT is at a version.

    After a migration that failed halfway nothing that works on its schema is changed until somebody
    has mended it and says so. The word is on record under your name; nothing is run.
    """
    body = {"job": job, "environment": environment, "version": version, "reason": reason}
    said = session.server().post("/api/migrations", body)
    click.echo(
        f"the schema of {job} in {environment} is at {version}, "
        f"by {said['asked_by']}: {said['message'] or reason}"
    )
