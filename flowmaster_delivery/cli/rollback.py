"""`flowmaster rollback`: back to what ran before, without asking anybody else."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flowmaster_delivery.cli.console import talk
from flowmaster_delivery.cli.following import conclude, follow
from flowmaster_delivery.cli.session import Session


@click.command()
@click.argument("environment")
@click.option("--service", "services", multiple=True, help="Only this one; may be repeated.")
@click.option("--to", default="previous", show_default=True, help="A version, or `previous`.")
@click.option(
    "--method",
    type=click.Choice(["revision", "release", "migration"]),
    help="revision: the image alone; release: all that came with it; migration: the schema too.",
)
@click.option("--reason", required=True, help="Why; stands on the hold that it leaves.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
@click.pass_context
def rollback(
    ctx: click.Context,
    environment: str,
    services: Sequence[str],
    to: str,
    method: str | None,
    reason: str,
    wait: bool,
) -> None:
    """Bring services of ENVIRONMENT back to the digest on record, what depends on others first.

    Without --service: those of the last release, or all that ever ran the version. Neither GitLab
    nor the registry nor any gate is asked. Without --method as little of a database's schema is
    taken back as the image needs. Leaves a hold on each service, and an incident with its report;
    `flowmaster hold` and `flowmaster incident` list them.
    """
    session: Session = ctx.obj
    server, console = session.server(), talk()
    wish = {"environment": environment, "services": list(services), "to": to, "reason": reason}
    run = server.post("/api/rollbacks", wish | ({"method": method} if method else {}))
    click.echo(f"rollback: {run['url']}")
    if wait:
        ctx.exit(conclude(follow(session, server, run["run"], console), console))
