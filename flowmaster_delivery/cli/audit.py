"""`flowmaster audit`: who did what, why, when and from where, and whether that record is whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from flowmaster_delivery.cli.console import short, talk
from flowmaster_delivery.cli.durations import duration
from flowmaster_delivery.cli.listing import Columns, Listing, Row, json_option, minute, print_list
from flowmaster_delivery.cli.session import Server, Session
from flowmaster_delivery.model.errors import Malformed

if TYPE_CHECKING:
    from flowmaster_delivery.model.audit import AuditEntry
    from flowmaster_delivery.policy.audit import Verified

MOST = 1000
"""Entries that the server gives at a time."""
NAMED = 3
"""Services that are named in a row; the others are counted."""


def _text(row: Row, name: str) -> str:
    """As it may stand on a terminal, also where somebody wrote into the database by hand."""
    from flowmaster_delivery.model.audit import plain

    return plain(str(row.get(name) or ""), 400)


def _services(row: Row) -> str:
    names = [str(name) for name in row.get("services") or ()]
    more = f", +{len(names) - NAMED}" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _what(row: Row) -> str:
    """The action, with what became of it where that is not a matter of course."""
    result = _text(row, "result")
    said = _text(row, "action").replace("_", " ")
    return (
        said if result in ("", "done", "accepted") or said.endswith(result) else f"{said}: {result}"
    )


def _why(row: Row) -> str:
    gates = [str(gate) for gate in row.get("gates") or ()]
    return "; ".join(filter(None, [_text(row, "reason"), *gates]))


def _whence(row: Row) -> str:
    digests = [short(row.get("from_digest")), short(row.get("to_digest"))]
    changed = " -> ".join(filter(None, digests))
    channel, via, address = (_text(row, name) for name in ("channel", "via", "address"))
    way = f"by {channel}" + (f" ({via})" if via else "") + (f" from {address}" if address else "")
    run = f"run {_text(row, 'run_id')[:8]}" if row.get("run_id") else ""
    return ", ".join(filter(None, [way, _text(row, "version"), changed, run]))


COLUMNS: Columns = {
    "#": lambda row: str(row["sequence"]),
    "when (UTC)": lambda row: minute(_text(row, "at")),
    "who": lambda row: _text(row, "who") or "nobody known",
    "what": _what,
    "environment": lambda row: _text(row, "environment"),
    "services": _services,
    "why": _why,
    "whence": _whence,
}


def moment(text: str) -> str:
    """An option's type: a time, or how long ago (`7d`). As ISO 8601."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.now(tz=UTC) - duration(text)  # noqa: TID251  # a command's edge: its clock
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


@click.group(cls=Listing)
def audit() -> None:
    """Show the audit trail, tell whether it is whole, and export it. Without a command: show it.

    \b
    flowmaster audit --since 7d --environment production
    flowmaster audit head                      # note it elsewhere …
    flowmaster audit verify --head 412:9f86…   # … and see later whether all of it still stands
    """


@audit.command("list")
@click.option("--since", type=moment, default="7d", show_default=True, metavar="WHEN",
              help="A time, or how long ago: 7d, 2026-03-02.")  # fmt: skip
@click.option("--until", type=moment, metavar="WHEN", help="Before that.")
@click.option("--who", help="A GitLab username, or flowmaster.")
@click.option("--environment", help="Only of this one.")
@click.option("--service", help="Only what names it.")
@click.option("--action", help="promotion_refused, hold_placed …")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True,
              help="The newest so many; 0 for all.")  # fmt: skip
@json_option
@click.pass_obj
def list_entries(session: Session, /, limit: int, as_json: bool, **wanted: str | None) -> None:
    """Who did what, why, when and from where; the newest first."""
    params = {name: value for name, value in wanted.items() if value is not None}
    rows, more = _found(session.server(), params, limit)
    print_list(
        rows, COLUMNS, as_json=as_json, nothing="nothing is on the audit trail of that",
        beneath=["why", "whence"],
    )  # fmt: skip
    if more:
        talk().print("[dim]there is more: --limit 0 shows all[/dim]")


def _found(server: Server, params: dict[str, str], limit: int) -> tuple[list[Row], bool]:
    """The rows, and whether there are more."""
    rows: list[Row] = []
    before = ""
    while True:
        left = min(MOST, limit - len(rows)) if limit else MOST
        asked = {**params, "limit": str(left), **({"before": before} if before else {})}
        page = server.get("/api/audit", asked)
        rows += page["entries"]
        if page["next"] is None:
            return rows, False
        before = str(page["next"])
        if limit and len(rows) >= limit:
            return rows, True


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="As an object, for machines.")
@click.pass_obj
def head(session: Session, as_json: bool) -> None:
    """The newest entry as SEQUENCE:HASH. Note it where nobody who runs the platform can change it:
    it proves later that nothing before it was changed or cut off."""
    newest = session.server().get("/api/audit/head")
    click.echo(json.dumps(newest, indent=2) if as_json else newest["head"])


@audit.command()
@click.option("--after", default="0", metavar="SEQUENCE", help="Only what came behind this entry.")
@click.pass_obj
def export(session: Session, after: str) -> None:
    """All of it, oldest first, one JSON object a line: as `verify --file` reads it."""
    server, number = session.server(), after.partition(":")[0]
    while True:
        page = server.get("/api/audit/chain", {"after": number})
        for row in page["entries"]:
            click.echo(json.dumps(row, sort_keys=True, separators=(",", ":")))
        if page["next"] is None:
            return
        number = str(page["next"])


@audit.command()
@click.option("--head", "heads", multiple=True, metavar="SEQUENCE:HASH",
              help="One that was noted; may be repeated.")  # fmt: skip
@click.option("--after", metavar="SEQUENCE:HASH", help="Only what came behind this head.")
@click.option("--file", "file", type=click.File(encoding="utf-8"),
              help="An export, instead of what the server has; - for standard input.")  # fmt: skip
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The seal key, for the seals of an export.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As an object, for machines.")
@click.pass_context
def verify(
    ctx: click.Context,
    heads: tuple[str, ...],
    after: str | None,
    file: TextIO | None,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Whether every entry is in its place, unchanged and sealed by this installation.

    Exit status: 0 whole, 1 not.
    """
    session: Session = ctx.obj
    if file is None:
        told = session.server().get(
            "/api/audit/check", {"head": list(heads), **({"after": after} if after else {})}
        )
    else:
        told = _as_told(_of_export(file, heads, after, _key(session, key_file)))
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(_in_words(told)))
    if not told["whole"]:
        ctx.exit(1)


def _key(session: Session, file: Path | None) -> str | None:
    """Of the file, else of this installation; None where it is not here."""
    if file is None:
        return session.settings.seal_key.read_optional()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise Malformed(f"the key file {file} cannot be read; give a text file") from error


def _of_export(file: TextIO, heads: Iterable[str], after: str | None, key: str | None) -> Verified:
    from flowmaster_delivery.model.audit import START, Head
    from flowmaster_delivery.policy.audit import verify as look

    noted = [Head.of(text) for text in heads]
    return look(_entries(file), key, noted, Head.of(after) if after else START)


def _entries(file: TextIO) -> Iterator[AuditEntry]:
    from flowmaster_delivery.model.audit import entry_of

    for number, line in enumerate(file, 1):
        try:
            yield entry_of(line)
        except Malformed as error:
            raise Malformed(f"line {number} of {file.name}: {error}") from error


def _as_told(found: Verified) -> dict[str, Any]:
    """As the server tells it."""
    from pydantic import TypeAdapter

    from flowmaster_delivery.policy.audit import Verified

    verified = TypeAdapter(Verified).dump_python(found, mode="json")
    return {"whole": found.whole, "verified": verified, "head": str(found.head)}


def _in_words(told: dict[str, Any]) -> Iterator[str]:
    found = told["verified"]
    count, first, last = found["entries"], found["first"], found["head"]["sequence"]
    what = f"{count} entries, {first} to {last}" if count else "no entries"
    if told["whole"]:
        yield f"the audit trail is whole: {what}"
    else:
        yield f"the audit trail is NOT whole ({what}), {found['flaws']} flaws:"
        yield from (
            f"  {one['flaw'].replace('_', ' ')}: {one['words']}" for one in found["findings"]
        )
        more = found["flaws"] - len(found["findings"])
        if more:
            yield f"  and {more} more"
    if not found["seals"]:
        yield "seals were not looked at; give the seal key with --key-file"
    if count:
        yield f"head: {told['head']}"
