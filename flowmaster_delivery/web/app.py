"""The ASGI application, made of what it is handed: nothing is read from the environment here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.ports import Launcher, Ports
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.web.answers import unforeseen
from flowmaster_delivery.web.api import (
    canaries,
    incidents,
    migrations,
    overrides,
    overview,
    people,
    promotions,
    timeline,
)
from flowmaster_delivery.web.hints import Hint, Hints
from flowmaster_delivery.web.office import Office
from flowmaster_delivery.web.repeats import Repeats
from flowmaster_delivery.web.signature import Secrets
from flowmaster_delivery.web.webhooks import look, receive

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def app(
    settings: Settings,
    catalog: Catalog,
    ports: Ports,
    launcher: Launcher,
    clock: Callable[[], datetime],
) -> Starlette:
    """The server of one installation. Hints are worked on while the application runs."""
    office = _office(settings, catalog, ports, launcher, clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        office.hints.start()
        yield
        await run_in_threadpool(office.hints.stop)

    made = Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/webhooks/gitlab", receive, methods=["POST"]),
            *overview.ROUTES,
            *promotions.ROUTES,
            *people.ROUTES,
            *incidents.ROUTES,
            *migrations.ROUTES,
            *canaries.ROUTES,
            *overrides.ROUTES,
            *timeline.ROUTES,
        ],
        middleware=_middleware(settings),
        exception_handlers={Exception: unforeseen},
        lifespan=lifespan,
    )
    made.state.office = office
    return made


async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _office(
    settings: Settings,
    catalog: Catalog,
    ports: Ports,
    launcher: Launcher,
    clock: Callable[[], datetime],
) -> Office:
    def work(hint: Hint) -> None:
        look(hint, office)

    office = Office(
        settings=settings,
        catalog=catalog,
        ports=ports,
        launcher=launcher,
        clock=clock,
        hints=Hints(work),
        repeats=Repeats(),
        webhook_secrets=Secrets(
            settings.webhook_secret.read_optional(), settings.webhook_signing_token.read_optional()
        ),
    )
    return office


def _middleware(settings: Settings) -> list[Middleware]:
    """The sandbox believes whoever is on this machine: a web page's own host name is not that."""
    if not settings.sandbox:
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))]
