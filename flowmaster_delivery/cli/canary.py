"""`flowmaster canary`: which canaries run, and orders to them."""

from __future__ import annotations

from operator import itemgetter

import click

from flowmaster_delivery.cli.console import short
from flowmaster_delivery.cli.listing import Columns, Listing, Row, json_option, print_list, within
from flowmaster_delivery.cli.session import Session

DONE = {
    "pause": "stays in its step until its deadline, and is taken away then; "
    "go on: flowmaster canary resume {environment} {service} --reason …",
    "resume": "goes on by its judgement",
    "promote": "makes way for the whole service, unjudged, if the gate is still open",
    "abort": "is taken away; the service runs what it ran",
}


class CanaryGroup(Listing):
    """Its list is called `status`."""

    lists = "status"


@click.group(cls=CanaryGroup)
def canary() -> None:
    """Show the canaries that run; pause, resume, promote and abort them.

    An order is seen by the canary's run within seconds. Without a command: show them.
    """


@canary.command()
@click.argument("environment", required=False)
@json_option
@click.pass_obj
def status(session: Session, environment: str | None = None, as_json: bool = False) -> None:
    """The canaries that run, with their share and their last judgement."""
    found = session.server().get("/api/canaries", within(environment))
    nothing = "no canary is running"
    print_list(found, COLUMNS, as_json=as_json, nothing=nothing, beneath=["last judgement"])


def _last_words(row: Row) -> str:
    given = row["order"]
    said = row["said"] or "not judged yet"
    if row["verdict"]:
        return f"ended ({row['verdict']}): {said}"
    if given and given["command"] == "pause":
        return f"{said}; paused by {given['by']}: {given['reason']}"
    if row["asked"]:
        where = f"{row['environment']} {row['service']}"
        return f"{said}; asks for orders: flowmaster canary promote | abort | resume {where}"
    return said


COLUMNS: Columns = {
    "service": itemgetter("service"),
    "environment": itemgetter("environment"),
    "image": lambda row: row["version"] or short(row["digest"]),
    "step": lambda row: f"{row['step']} of {row['steps']}",
    "share": itemgetter("share"),
    "last judgement": _last_words,
}


def _ordering(command: str, help_: str) -> None:
    @canary.command(command, help=help_)
    @click.argument("environment")
    @click.argument("service")
    @click.option("--reason", required=True, help="Why; kept on record.")
    @click.pass_obj
    def ordered(session: Session, environment: str, service: str, reason: str) -> None:
        session.server().post(
            "/api/canaries/orders",
            {"environment": environment, "service": service, "command": command, "reason": reason},
        )
        done = DONE[command].format(environment=environment, service=service)
        click.echo(f"the canary of {service} in {environment} {done}")


_ordering("pause", "Let the canary of SERVICE stay in its step; it is judged on.")
_ordering("resume", "Let the canary of SERVICE go on by its judgement.")
_ordering("promote", "Bring SERVICE to the canary's image at once, unjudged. The gate is asked.")
_ordering("abort", "Take the canary of SERVICE away. The service itself is not touched.")
