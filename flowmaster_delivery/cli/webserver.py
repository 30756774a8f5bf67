"""`flowmaster webserver`: Dagster's UI, with the rights of whoever asks."""

from __future__ import annotations

from pathlib import Path

import click

from flowmaster_delivery.cli.session import Session


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True)
@click.option(
    "--workspace",
    "-w",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="workspace.yaml",
    show_default=True,
    help="Where the code locations are.",
)
@click.pass_obj
def webserver(session: Session, host: str, port: int, workspace: Path) -> None:
    """Serve Dagster's UI, until Ctrl-C: like dagster-webserver, but nothing on record goes away.

    With FLOWMASTER_IDENTITY_HEADER set, who asks is whom the authenticating proxy names: give it
    127.0.0.1, and put the proxy beside it. Everybody who signed in may submit runs, which the
    coordinator judges; operators may terminate them and stop sensors; nobody may wipe assets,
    delete runs, report events or start backfills.
    """
    import logging

    from flowmaster_delivery.defs.webserver import Doorman, serve
    from flowmaster_delivery.wiring import open_catalog, open_forge, open_instance

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    settings = session.settings
    catalog = open_catalog(settings)
    doorman = Doorman(settings, catalog, open_forge(settings, catalog))
    with open_instance() as instance:
        serve(instance, workspace, doorman, host, port)
