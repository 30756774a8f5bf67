"""`flowmaster promote`: ship a version, or hear every reason why not."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flowmaster_delivery.cli.console import talk
from flowmaster_delivery.cli.following import conclude, follow, follow_shipping
from flowmaster_delivery.cli.session import Session


@click.command()
@click.argument("environment")
@click.argument("version")
@click.option("--service", "services", multiple=True, help="Only this one; may be repeated.")
@click.option("--reason", default="", help="Why now; kept on record.")
@click.option("--partial", is_flag=True, help="Ship the services that may go, not all or none.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
@click.pass_context
def promote(
    ctx: click.Context,
    environment: str,
    version: str,
    services: Sequence[str],
    reason: str,
    partial: bool,
    wait: bool,
) -> None:
    """Promote VERSION (v1.2.3, or repository@v1.2.3) to ENVIRONMENT.

    All gates are asked; where one is closed, nothing ships and every reason is printed.

    \b
    Exit status: 0 shipped (with --no-wait: launched), 1 refused or failed,
    2 wrong usage or unknown name, 3 out of reach.
    """
    session: Session = ctx.obj
    server, console = session.server(), talk()
    run = server.post(
        "/api/promotions",
        {
            "environment": environment,
            "version": version,
            "services": list(services),
            "reason": reason,
            "partial": partial,
        },
    )
    click.echo(f"promotion: {run['url']}")
    if not wait:
        return
    asked = follow(session, server, run["run"], console)
    status = conclude(asked, console)
    if status and not partial:
        console.print(f"{version} was not promoted; `flowmaster plan {environment} {version}`")
        ctx.exit(status)
    shipped = follow_shipping(session, server, run["run"], console)
    if shipped is None:
        console.print(f"nothing of {version} had to be shipped to {environment}")
        ctx.exit(status)
    ctx.exit(max(status, conclude(shipped, console)))
