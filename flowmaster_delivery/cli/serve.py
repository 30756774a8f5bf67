"""`flowmaster serve`: the platform's own server."""

from __future__ import annotations

import click

from flowmaster_delivery.cli.session import Session

TOKEN_SECONDS = 3600.0
"""Between two questions to GitLab when our token ends; no scrape waits for the answer."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3080, show_default=True)
@click.option("--metrics-port", type=int, help="Of the metrics, at the same host.  [default: none]")
@click.pass_obj
def serve(session: Session, host: str, port: int, metrics_port: int | None) -> None:
    """Receive GitLab's webhooks and answer the API, until Ctrl-C.

    Webhooks are believed only with FLOWMASTER_WEBHOOK_SIGNING_TOKEN_FILE or
    FLOWMASTER_WEBHOOK_SECRET_FILE set. The API answers whoever shows a GitLab token of their own.
    Put an encrypting proxy in front of it, and name its address in FLOWMASTER_TRUSTED_PROXIES, so
    that guesses are counted by who makes them, and the audit trail has their addresses.
    """
    import logging
    from datetime import UTC, datetime

    import uvicorn

    from flowmaster_delivery.adapters.dagster_graphql import GraphqlLauncher
    from flowmaster_delivery.model.audit import Channel
    from flowmaster_delivery.web.app import app, metrics_of
    from flowmaster_delivery.web.fresh import Fresh, Remembered
    from flowmaster_delivery.web.metrics.serving import a_registry, served
    from flowmaster_delivery.wiring import (
        open_catalog,
        open_instance,
        open_ports,
        pulse_of,
        token_expiry,
    )

    def clock() -> datetime:
        return datetime.now(tz=UTC)  # noqa: TID251  # the one clock of the server

    settings = session.settings
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("httpx", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    catalog = open_catalog(settings)
    with open_instance() as instance:
        ports = open_ports(settings, catalog, instance, Channel.SERVER)
        launcher = GraphqlLauncher(
            settings.dagster_url, settings.seal_key.read, clock, ui_url=settings.ui_url
        )
        served_app = app(settings, catalog, ports, launcher, clock, pulse_of(instance))
        registry = a_registry("server")
        expiry = Fresh(
            token_expiry(settings, catalog), "GitLab", seconds=TOKEN_SECONDS, patience=0.0
        )
        registry.register(metrics_of(served_app, Remembered(expiry)))
        with served(registry, host, metrics_port):
            uvicorn.run(
                served_app,
                host=host,
                port=port,
                log_level="info",
                access_log=False,
                proxy_headers=False,  # whose word counts is a setting of ours
                timeout_graceful_shutdown=3,
            )
