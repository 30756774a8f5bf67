"""`flowmaster replay`: what today's policy, or another one, would have done with what happened.

The server gives the record, the policy is asked here: its file never leaves this machine, and
nothing is changed anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from flowmaster_delivery.cli.console import out, talk
from flowmaster_delivery.cli.durations import duration
from flowmaster_delivery.cli.listing import print_rows
from flowmaster_delivery.cli.session import Server, Session
from flowmaster_delivery.model.errors import CatalogFault, Malformed

if TYPE_CHECKING:
    from flowmaster_delivery.model.catalog import Catalog, Environment
    from flowmaster_delivery.model.timeline import Timeline
    from flowmaster_delivery.policy.replay import Finding, Replay

STYLES = {
    "refused": "red",
    "rolled back": "red",
    "asked a person": "yellow",
    "left it": "yellow",
    "cannot be told": "magenta",
}


@click.command()
@click.option(
    "--since", type=duration, metavar="DURATION", default="90d", show_default=True,
    help="How far back.",
)  # fmt: skip
@click.option("--environment", default="production", show_default=True)
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A catalog file, or one that says only what differs from today's.",
)
@click.option("--all", "every", is_flag=True, help="Promotions that it lets in as well.")
@click.option("--json", "as_json", is_flag=True, help="All findings, for machines.")
@click.pass_obj
def replay(
    session: Session,
    since: timedelta,
    environment: str,
    policy: Path | None,
    every: bool,
    as_json: bool,
) -> None:
    """Which promotions a policy would have refused, and which rollbacks it would have made.

    Runs over the recorded history of ENVIRONMENT and has no effect on anything. What the record
    does not hold (approvals of merge requests, pipelines, tags) is named and never guessed.
    """
    from flowmaster_delivery.policy.replay import replay as run

    catalog = _catalog(session, policy)
    place = catalog.environment(environment)
    now = datetime.now(tz=UTC)  # noqa: TID251  # a command's edge: its clock
    timeline = _read(session.server(), catalog, place, now - since, talk())
    found = run(timeline, catalog, environment, now - since, now)
    if as_json:
        click.echo(_as_json(found))
    else:
        print_replay(out(), found, every=every)


def _catalog(session: Session, policy: Path | None) -> Catalog:
    """Today's catalog, another one, or today's with what a file says over it."""
    from flowmaster_delivery.adapters.yaml_catalog import load_catalog

    base, overlay = session.catalog_files()
    if policy is None:
        return load_catalog(base, overlay)
    try:
        return load_catalog(policy)
    except CatalogFault:
        return load_catalog(base, [*([overlay] if overlay else []), policy])


def _read(
    server: Server, catalog: Catalog, place: Environment, since: datetime, console: Console
) -> Timeline:
    """The record: what was done, then the looks at each service that the policy speaks of."""
    from flowmaster_delivery.model.promotion import Admission
    from flowmaster_delivery.model.rollout import DeploymentRecord
    from flowmaster_delivery.model.timeline import Timeline
    from flowmaster_delivery.policy.soak import reach

    answers = [server.get("/api/timeline", _asked(place.name, since))]
    records = _records(answers)
    admitted = {r.candidate.service for r in records if isinstance(r, Admission)}
    recorded = admitted | {r.service for r in records if isinstance(r, DeploymentRecord)}
    named = [name for name in catalog.services if name in recorded]
    console.print(f"[dim]reads the looks at {len(named)} services since {since:%Y-%m-%d}[/dim]")
    for name in named:
        answers.append(server.get("/api/timeline", _asked(place.name, since, name)))
        if place.upstream and name in admitted:
            begin = since - reach(place, catalog.services[name])
            answers.append(server.get("/api/timeline", _asked(place.upstream, begin, name)))
    return Timeline.of(_records(answers), _cuts(answers))


def _asked(environment: str, since: datetime, service: str = "") -> dict[str, str]:
    asked = {"environment": environment, "since": since.isoformat()}
    return {**asked, "service": service} if service else asked


def _records(answers: Iterable[Mapping[str, Any]]) -> list[object]:
    """Records of kinds that this version knows, as they were."""
    from pydantic import ValidationError

    from flowmaster_delivery.adapters.dagster_codec import KINDS

    try:
        return [
            KINDS[one["kind"]].validate_python(one["record"])
            for answer in answers
            for one in answer["records"]
            if one["kind"] in KINDS
        ]
    except ValidationError as error:
        raise Malformed(
            f"the server's record is not of the form of this version: {error.errors()[0]['msg']}; "
            "install the server's version"
        ) from error


def _cuts(answers: Iterable[Mapping[str, Any]]) -> list[Any]:
    from pydantic import TypeAdapter

    from flowmaster_delivery.model.timeline import Cut

    adapter = TypeAdapter(Cut)
    return [adapter.validate_python(cut) for answer in answers for cut in answer["cuts"]]


def _as_json(found: Replay) -> str:
    from pydantic import TypeAdapter

    whole = TypeAdapter(type(found)).dump_python(found, mode="json")
    return json.dumps({"summary": found.summary, **whole}, indent=2)


def print_replay(console: Console, found: Replay, *, every: bool) -> None:
    """A row for each finding that is not what happened anyway, then all of it in one sentence."""
    shown = [f for f in found.findings if every or not (f.is_promotion and f.as_it_happened)]
    if shown:
        heads = ("when (UTC)", "service", "it would have")
        print_rows(console, heads, [(_cells(one), (one.happened, one.why)) for one in shown])
    unread = sorted({gate for finding in found.findings for gate in finding.not_on_record})
    if unread:
        console.print(Text(f"not on record, and not judged: {', '.join(unread)}", style="dim"))
    for note in found.notes:
        console.print(Text(note, style="dim"))
    console.print(Text(found.summary))


def _cells(finding: Finding) -> tuple[str | Text, ...]:
    same = ", as it happened" if finding.as_it_happened else ""
    would = Text(f"{finding.would}{same}", style=STYLES.get(finding.would, "default"))
    when = finding.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    return when, finding.service, would
