"""`flowmaster uninstall`: take away what the platform made on the clusters."""

from __future__ import annotations

import click

from flowmaster_delivery.cli.session import Session


@click.command()
@click.option("--jobs-namespace", metavar="NAMESPACE", help="Where the Jobs of runs are.")
@click.option("--pod", "pods", multiple=True, help="Of a test, in the same namespace; repeated.")
@click.pass_obj
@click.pass_context
def uninstall(
    ctx: click.Context, session: Session, jobs_namespace: str | None, pods: tuple[str, ...]
) -> None:
    """End every run and canary, and remove the leases: what the platform made beside its chart.

    Services run on as they are, and what is on record stays. The chart's own hook, before it
    removes the rest; nothing of the platform may run any more where it is called by hand.

    Exit status: 0 nothing is left, 1 something is, named with the reason.
    """
    from flowmaster_delivery.flows.uninstall import leave
    from flowmaster_delivery.wiring import clusters, leftovers, open_catalog, run_jobs

    settings = session.settings
    catalog = open_catalog(settings)
    jobs = run_jobs(settings, jobs_namespace) if jobs_namespace else None
    left = list(leave(catalog, clusters(settings, catalog), leftovers(settings), jobs, pods))
    for words in left:
        click.echo(f"flowmaster: {words}", err=True)
    if not left:
        click.echo("nothing of the platform is left in the environments")
    ctx.exit(1 if left else 0)
