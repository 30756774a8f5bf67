"""`flowmaster approve`: a person's consent to a version, under the name GitLab knows them by."""

from __future__ import annotations

from pathlib import Path

import click

from flowmaster_delivery.cli.session import Session


@click.command()
@click.argument("environment")
@click.argument("version")
@click.option("--withdraw", is_flag=True, help="Take back every approval you gave.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with your GitLab token; else FLOWMASTER_TOKEN.",
)
@click.pass_obj
def approve(
    session: Session, environment: str, version: str, withdraw: bool, token_file: Path | None
) -> None:
    """Approve VERSION for ENVIRONMENT with your own GitLab token.

    The server asks GitLab whose token it is and keeps it nowhere. The approval is bound to the
    commit and the digests of today: a moved tag starts with none.
    """
    body = {"environment": environment, "version": version, "withdraw": withdraw}
    given = session.server(token_file).post("/api/approvals", body)
    what = "withdrew approval of" if given["withdrawn"] else "approved"
    click.echo(
        f"{given['by']} {what} {given['repository']}@{given['version']} ({given['commit'][:8]}) "
        f"for {environment}"
    )
