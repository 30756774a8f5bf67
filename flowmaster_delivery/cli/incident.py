"""`flowmaster incident`: what spoke against releases, and the answer where a person is asked."""

from __future__ import annotations

import json
from operator import itemgetter

import click
from rich.markdown import Markdown

from flowmaster_delivery.cli.console import decide, name_some, out, talk
from flowmaster_delivery.cli.following import conclude, follow
from flowmaster_delivery.cli.listing import (
    Columns,
    Listing,
    json_option,
    minute,
    print_list,
    within,
)
from flowmaster_delivery.cli.session import Session

COLUMNS: Columns = {
    "id": itemgetter("id"),
    "since (UTC)": lambda row: minute(row["opened_at"]),
    "environment": itemgetter("environment"),
    "services": lambda row: name_some(row["services"], named=1),
    "state": itemgetter("state"),
    "reason": lambda row: f"{row['trigger']}: {row['reason']}",
    "next": lambda row: decide(row) if row["state"] == "asked" else "",
}


@click.group(cls=Listing)
def incident() -> None:
    """List incidents, show their reports, decide where a person is asked. Without a command: list.

    Only operators of the environment decide.
    """


@incident.command("list")
@click.option("--environment", help="Only of this one.")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@json_option
@click.pass_obj
def list_incidents(
    session: Session,
    environment: str | None = None,
    only_open: bool = False,
    as_json: bool = False,
) -> None:
    """The newest incidents, newest first."""
    params = within(environment) | ({"open": "1"} if only_open else {})
    found = session.server().get("/api/incidents", params)
    print_list(
        found, COLUMNS, as_json=as_json, nothing="there is no incident", beneath=["reason", "next"]
    )


@incident.command(short_help="The report of the incident ID.")
@click.argument("incident_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="An object, for machines.")
@click.option("--markdown", is_flag=True, help="The report as it is written, to paste it.")
@click.pass_obj
def show(session: Session, incident_id: str, as_json: bool, markdown: bool) -> None:
    """The report of the incident ID: timeline, evidence, commits, checklist."""
    found = session.server().get(f"/api/incidents/{incident_id}")
    if as_json:
        click.echo(json.dumps(found["incident"], indent=2))
    elif markdown:
        click.echo(found["report"], nl=False)
    else:
        out().print(Markdown(found["report"]))


@incident.command()
@click.argument("incident_id", metavar="ID")
@click.option("--reason", default="", help="Kept on record beside your name.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
@click.pass_context
def approve(ctx: click.Context, incident_id: str, reason: str, wait: bool) -> None:
    """Roll back, as the incident ID asks."""
    session: Session = ctx.obj
    server, console = session.server(), talk()
    run = server.post(f"/api/incidents/{incident_id}/approve", {"reason": reason})
    click.echo(f"rollback: {run['url']}")
    if wait:
        ctx.exit(conclude(follow(session, server, run["run"], console), console))


@incident.command(short_help="Live with what the incident ID says.")
@click.argument("incident_id", metavar="ID")
@click.option("--reason", required=True, help="Why it may stay; kept on record.")
@click.pass_obj
def dismiss(session: Session, incident_id: str, reason: str) -> None:
    """Live with what the incident ID says: the same is not asked again of this image."""
    left = session.server().post(f"/api/incidents/{incident_id}/dismiss", {"reason": reason})
    names = ", ".join(left["services"])
    click.echo(f"{names} in {left['environment']} stays as it is; on record with your reason")
