"""`flowmaster migration`: at which version each schema is, and saying so after mending one."""

from __future__ import annotations

import json

import click
from rich.table import Table

from flowmaster_delivery.cli.console import out
from flowmaster_delivery.cli.session import Session


@click.group(invoke_without_command=True)
@click.pass_context
def migration(ctx: click.Context) -> None:
    """List schemas, and say at which version one is. Without a command: list them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_schemas)


@migration.command("list")
@click.argument("environment", required=False)
@click.option("--json", "as_json", is_flag=True, help="A list of objects, for machines.")
@click.pass_obj
def list_schemas(session: Session, environment: str | None = None, as_json: bool = False) -> None:
    """The schemas, everywhere or in ENVIRONMENT, with what was done to them last."""
    params = {"environment": environment} if environment else {}
    found = session.server().get("/api/migrations", params)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no service works on a schema")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("schema", "environment", "version", "since", "by", "note"):
        table.add_column(name, no_wrap=name != "note")
    for row in found:
        last = row["last"] or {"at": "", "asked_by": "", "message": "nothing is on record"}
        version = "?" if row["version"] is None else str(row["version"])
        since, note = last["at"][:16].replace("T", " "), row["trouble"] or last["message"]
        table.add_row(row["job"], row["environment"], version, since, last["asked_by"], note)
    out().print(table)


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
