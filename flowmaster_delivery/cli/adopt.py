"""`flowmaster adopt`: take over what runs already."""

from __future__ import annotations

import json

import click

from flowmaster_delivery.cli.session import Session


@click.command()
@click.argument("environment")
@click.option("--reason", default="", help="What you vouch by; kept on record.")
@click.option("--json", "as_json", is_flag=True, help="What was adopted, a list of objects.")
@click.pass_context
def adopt(ctx: click.Context, environment: str, reason: str, as_json: bool) -> None:
    """Take over what runs in ENVIRONMENT; whoever asks vouches for it.

    What is adopted becomes the first rollback target of each service. Adopting twice changes
    nothing. Exit status 1 where a service could not be adopted; each is named with the reason.
    """
    session: Session = ctx.obj
    rows = session.server().post("/api/adoptions", {"environment": environment, "reason": reason})
    missing = [row for row in rows if row["digest"] is None]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    for row in missing:
        click.echo(f"{row['service']:<24} not adopted: {row['why_not']}", err=True)
    counted = f"{len(rows) - len(missing)} of {len(rows)} services of {environment} are on record"
    click.echo(counted, err=as_json)
    ctx.exit(1 if missing else 0)
