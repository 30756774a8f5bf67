"""`flowmaster retain`: remove what is old and evidence of nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime

import click

from flowmaster_delivery.cli.console import out, talk
from flowmaster_delivery.cli.listing import print_rows
from flowmaster_delivery.cli.session import Session, exit_status
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.retention import Line
from flowmaster_delivery.redaction import hidden

Sweep = Callable[[], tuple[Line, ...]]


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing, and say what would be.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects, for machines.")
@click.option(
    "--jobs-namespace",
    metavar="NAMESPACE",
    help="Where the Jobs of runs are; without it no cluster is asked.",
)
@click.pass_obj
@click.pass_context
def retain(
    ctx: click.Context, session: Session, dry_run: bool, as_json: bool, jobs_namespace: str | None
) -> None:
    """Remove old ticks, runs that recorded nothing, looks of the watch at which nothing had
    changed, and finished Jobs on the cluster; tell what was removed and what stays, and why.

    Ages are in the catalog (`retention`), those of ticks in dagster.yaml. Admissions, deployments,
    verifications, incidents, holds, approvals and overrides are never removed, nor is the audit
    trail. What cannot be reached is left for the next time, with exit status 3.
    """
    lines, errors = list[Line](), list[DeliveryError]()
    for sweep in _sweeps(session, jobs_namespace, remove=not dry_run):
        try:
            lines += sweep()
        except DeliveryError as error:
            errors.append(error)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        _print(lines, dry_run=dry_run)
    for one in errors:
        talk().print(f"flowmaster: {hidden(str(one))}", markup=False, soft_wrap=True)
    if errors:
        ctx.exit(max(exit_status(one) for one in errors))


def _sweeps(session: Session, namespace: str | None, *, remove: bool) -> Iterator[Sweep]:
    from flowmaster_delivery.defs import retention
    from flowmaster_delivery.flows.retention import sweep_jobs
    from flowmaster_delivery.wiring import open_catalog, open_instance, run_jobs

    settings = session.settings
    rule = open_catalog(settings).retention
    now = datetime.now(tz=UTC)  # noqa: TID251  # a command's edge: its clock
    with ExitStack() as opened:
        with retention.asked():
            instance = opened.enter_context(open_instance())
        yield lambda: (retention.sweep_ticks(instance, now, remove=remove),)
        yield lambda: retention.sweep_runs(instance, rule, now, remove=remove)
        before = now - rule.heartbeats
        yield lambda: (retention.sweep_heartbeats(instance, settings, before, remove=remove),)
    if namespace:
        yield lambda: sweep_jobs(run_jobs(settings, namespace), rule, now, remove=remove)


def _print(lines: list[Line], *, dry_run: bool) -> None:
    gone = "would go" if dry_run else "removed"
    rows = [
        ((line.what, gone if line.removed else "kept", str(line.count), line.why), ())
        for line in lines
    ]
    print_rows(out(), ("what", "", "number", "why"), rows)
