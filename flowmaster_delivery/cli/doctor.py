"""`flowmaster doctor`: what this process can reach and may do, from where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from flowmaster_delivery.cli.console import out
from flowmaster_delivery.cli.listing import json_option, print_rows
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.checkup import Finding, Grade, Topic
from flowmaster_delivery.model.errors import CatalogFault, UnknownName

MARKS = {
    Grade.OK: ("✓", "green"),
    Grade.WARNING: ("!", "yellow"),
    Grade.FAILED: ("✗", "red"),
    Grade.NOT_CHECKED: ("·", "dim"),
}
NAMED = 4
"""Of what shares a sentence, so many are named."""


@click.command()
@click.option("--environment", "names", multiple=True, help="Just this one; may be repeated.")
@click.option("--only", help="Topics with commas between: cluster,gitlab.")
@click.option(
    "--rights",
    type=click.Choice(["changes", "views"]),
    default="changes",
    show_default=True,
    help="What this process does on clusters: changes them, as runs and the watch do, or views "
    "them, as the server does.",
)
@click.option("--timeout", default=30.0, show_default=True, help="Seconds for all of it.")
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    names: tuple[str, ...],
    only: str | None,
    rights: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Check settings, catalog, clusters, GitLab, registry, metrics, storage, Dagster, clocks and
    audit trail, from where this process stands, and say how to mend what is wrong.

    What this process was not given is "not checked": run it in the pod of each part, or as its
    ServiceAccount. It changes nothing but a counter in Dagster's storage.

    Exit status: 0 nothing failed, 1 something did, or nothing could be checked.
    """
    from flowmaster_delivery.policy.checkup.grading import passed

    session: Session = ctx.obj
    topics = topics_of(only)
    findings = examined(session, topics, names, timeout, views=rights == "views")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print_findings(out(), findings)
    ctx.exit(0 if passed(findings) else 1)


def topics_of(only: str | None) -> tuple[Topic, ...]:
    """All of them without a list. Raise UnknownName for what is none."""
    known = [topic.value for topic in Topic]
    named = [word.strip() for word in only.split(",")] if only else known
    for word in named:
        if word not in known:
            raise UnknownName("topic", word, known)
    return tuple(Topic(word) for word in named)


def examined(
    session: Session,
    topics: Sequence[Topic],
    names: Sequence[str],
    seconds: float,
    *,
    views: bool,
) -> tuple[Finding, ...]:
    """Without a catalog nobody knows what there is to look at, beyond our own settings."""
    from datetime import UTC, datetime

    from flowmaster_delivery.flows.checkup.running import examine
    from flowmaster_delivery.flows.checkup.whole import Wanted, checks
    from flowmaster_delivery.wiring import open_catalog, open_doors

    try:
        catalog = open_catalog(session.settings)
    except CatalogFault as fault:
        return tuple(_without_catalog(session, topics, fault))
    wanted = Wanted(topics, names, views)
    with open_doors(session.settings, catalog) as doors:
        planned = checks(catalog, doors, wanted, lambda: datetime.now(tz=UTC))  # noqa: TID251  # its clock
        return examine(planned, seconds)


def _without_catalog(
    session: Session, topics: Sequence[Topic], fault: CatalogFault
) -> Iterable[Finding]:
    from flowmaster_delivery.policy.checkup.grading import failed, not_checked
    from flowmaster_delivery.policy.checkup.home import of_secret
    from flowmaster_delivery.settings import secret_files

    if Topic.SETTINGS in topics:
        yield from (of_secret(file) for file in secret_files(session.settings))
    mend = "correct these lines; `flowmaster catalog check` lists them"
    yield failed(Topic.CATALOG, fault.source, "; ".join(fault.faults), mend)
    for topic in topics:
        if topic not in (Topic.SETTINGS, Topic.CATALOG):
            yield not_checked(topic, topic.value, "the catalog cannot be read")


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """A line each; what is the same of several things is said once."""
    rows, said = [], dict[tuple[Topic, Grade, str, str], list[str]]()
    for one in findings:
        said.setdefault((one.topic, one.grade, one.seen, one.mend), []).append(one.about)
    for (topic, grade, seen, mend), abouts in said.items():
        mark, style = MARKS[grade]
        more = f", and {len(abouts) - NAMED} more" if len(abouts) > NAMED else ""
        cells = [Text(mark, style=style), topic.value, ", ".join(abouts[:NAMED]) + more]
        rows.append((cells, [seen, f"→ {mend}" if mend else ""]))
    print_rows(console, ["", "topic", "about"], rows)
    console.print(summary(findings), soft_wrap=True)


def summary(findings: Iterable[Finding]) -> Text:
    grades = [finding.grade for finding in findings]
    counted = [f"{grades.count(grade)} {grade}" for grade in Grade if grade in grades]
    style = MARKS[Grade.FAILED][1] if Grade.FAILED in grades else ""
    return Text(", ".join(counted) or "nothing was looked at", style=style)
