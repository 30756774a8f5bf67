"""`flowmaster adopt`: take over what runs already."""

from __future__ import annotations

import click

from flowmaster_delivery.cli.console import short
from flowmaster_delivery.cli.session import Session


@click.command()
@click.argument("environment")
@click.option("--reason", default="", help="What you vouch by; kept on record.")
@click.pass_context
def adopt(ctx: click.Context, environment: str, reason: str) -> None:
    """Take over what runs in ENVIRONMENT; whoever asks vouches for it.

    What is adopted becomes the first rollback target of each service. Adopting twice changes
    nothing. Exit status 1 where a service could not be adopted; each is named with the reason.
    """
    session: Session = ctx.obj
    rows = session.server().post("/api/adoptions", {"environment": environment, "reason": reason})
    missing = [row for row in rows if row["digest"] is None]
    for row in rows:
        if row["digest"] is not None:
            what = f"{row['version'] or row['commit'][:8]} {short(row['digest'])}"
            click.echo(f"{row['service']:<24} {what}  {row['why_not']}".rstrip())
    for row in missing:
        click.echo(f"{row['service']:<24} not adopted: {row['why_not']}", err=True)
    click.echo(f"{len(rows) - len(missing)} of {len(rows)} services of {environment} are on record")
    ctx.exit(1 if missing else 0)
