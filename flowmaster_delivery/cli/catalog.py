"""`flowmaster catalog`: is this file a catalog, and what may stand in one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flowmaster_delivery.cli.session import Session


@click.group()
def catalog() -> None:
    """Check a catalog file; print its JSON schema."""


@catalog.command(short_help="Report every fault of FILE at once.")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def check(session: Session, file: Path | None) -> None:
    """Report every fault of FILE at once, with its line; the configured catalog without FILE."""
    from flowmaster_delivery.adapters.yaml_catalog import load_catalog

    path = file or session.settings.catalog
    found = load_catalog(path, None if file else session.settings.overlay)
    click.echo(
        f"{found.source}: {len(found.services)} services of {len(found.repositories)} "
        f"repositories, {len(found.environments)} environments; no faults"
    )


@catalog.command()
def schema() -> None:
    """The JSON schema of a catalog file, for editors."""
    from flowmaster_delivery.adapters.yaml_catalog import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
