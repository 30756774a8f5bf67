"""`flowmaster override`: let a version past one closed gate, under the name GitLab knows you by."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from flowmaster_delivery.cli.durations import duration
from flowmaster_delivery.cli.listing import Columns, json_option, minute, print_list
from flowmaster_delivery.cli.session import Session

COLUMNS: Columns = {
    "id": lambda row: row["override"]["id"],
    "gate": lambda row: row["override"]["gate"],
    "by": lambda row: row["override"]["by"],
    "until (UTC)": lambda row: minute(row["until"]),
    "reason": lambda row: row["override"]["reason"],
    "flaw": lambda row: f"does not count: {row['flaw']}" if row["flaw"] else "counts",
}


class GiveByDefault(click.Group):
    """`override production v1.2.3 …` gives one; `override list production v1.2.3` lists them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["give", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=GiveByDefault,
    options_metavar="ENVIRONMENT VERSION --gate … --reason …",
    subcommand_metavar="",
)
def override() -> None:
    """Let a version past one closed gate, or list who did (`list ENVIRONMENT VERSION`).

    \b
    flowmaster override production v1.2.3 --gate soak --reason "logins fail" --for 2h
    """


@override.command()
@click.argument("environment")
@click.argument("version")
@click.option("--gate", required=True, help="The one that is closed: soak, freeze …")
@click.option("--reason", required=True, help="Why; told to people and kept on record.")
@click.option(
    "--for",
    "lasts",
    type=duration,
    metavar="DURATION",
    help="How long, as 2h; as long as policy allows if not given.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with your GitLab token; else FLOWMASTER_TOKEN.",
)
@click.pass_obj
def give(
    session: Session,
    environment: str,
    version: str,
    gate: str,
    reason: str,
    lasts: timedelta | None,
    token_file: Path | None,
) -> None:
    """Let VERSION past one gate of ENVIRONMENT with your own GitLab token.

    Which gates, by members of which group and for how long at most is policy. It is bound to the
    commit of today; all other gates are asked as ever.
    """
    body = {"environment": environment, "version": version, "gate": gate, "reason": reason}
    asked = body if lasts is None else {**body, "seconds": lasts.total_seconds()}
    given = session.server(token_file).post("/api/overrides", asked)
    click.echo(
        f"{given['by']} overrides {given['gate']} of {environment} for "
        f"{given['repository']}@{given['version']} ({given['commit'][:8]}) "
        f"until {minute(given['expires_at'])} UTC: {given['id']}"
    )
    click.echo(f"next: flowmaster plan {environment} {version}")


@override.command("list")
@click.argument("environment")
@click.argument("version")
@json_option
@click.pass_obj
def list_overrides(session: Session, environment: str, version: str, as_json: bool) -> None:
    """Every override of VERSION in ENVIRONMENT, the expired ones as well."""
    params = {"environment": environment, "version": version}
    found = session.server().get("/api/overrides", params)
    nothing = f"nothing of {version} is overridden in {environment}"
    print_list(found, COLUMNS, as_json=as_json, nothing=nothing, beneath=["reason", "flaw"])
