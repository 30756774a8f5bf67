"""The ASGI application, made of what it is handed: nothing is read from the environment here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route

from flowmaster_delivery.flows.condition import read_condition
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.policy.liveness import expected_sensors
from flowmaster_delivery.ports import Launcher, Ports
from flowmaster_delivery.ports.pulse import Pulse
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.web import probes
from flowmaster_delivery.web.answers import unforeseen
from flowmaster_delivery.web.api import (
    audit,
    canaries,
    incidents,
    migrations,
    overrides,
    overview,
    people,
    promotions,
    timeline,
)
from flowmaster_delivery.web.fresh import Fresh
from flowmaster_delivery.web.hints import Hint, Hints
from flowmaster_delivery.web.metrics.platform import PlatformMetrics
from flowmaster_delivery.web.office import Office
from flowmaster_delivery.web.probes import Readiness
from flowmaster_delivery.web.repeats import Repeats
from flowmaster_delivery.web.signature import Secrets
from flowmaster_delivery.web.webhooks import look, receive

CONDITION_SECONDS, CONDITION_PATIENCE = 15.0, 5.0
"""How old the platform's condition may be, and how long a scrape waits for it: Prometheus gives one
up after ten seconds."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def app(
    settings: Settings,
    catalog: Catalog,
    ports: Ports,
    launcher: Launcher,
    clock: Callable[[], datetime],
    pulse: Pulse,
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
            *probes.ROUTES,
            Route("/webhooks/gitlab", receive, methods=["POST"]),
            *overview.ROUTES,
            *promotions.ROUTES,
            *people.ROUTES,
            *incidents.ROUTES,
            *migrations.ROUTES,
            *canaries.ROUTES,
            *overrides.ROUTES,
            *timeline.ROUTES,
            *audit.ROUTES,
        ],
        middleware=_middleware(settings),
        exception_handlers={Exception: unforeseen},
        lifespan=lifespan,
    )
    made.state.office = office
    made.state.readiness = Readiness(pulse, launcher)
    made.state.pulse = pulse
    return made


def metrics_of(
    served: Starlette, token_expires: Callable[[], date | None] = lambda: None
) -> PlatformMetrics:
    """What this application tells of itself and of the platform. `token_expires`: the day on which
    GitLab takes our token no more, as far as that is known without asking."""
    office: Office = served.state.office
    catalog, history = office.catalog, office.ports.history
    expected = expected_sensors(watch_apart=office.settings.watch_apart)
    condition = Fresh(
        lambda: read_condition(catalog, expected, served.state.pulse, history, office.clock()),
        "the database",
        seconds=CONDITION_SECONDS,
        patience=CONDITION_PATIENCE,
    )
    return PlatformMetrics(
        catalog.environments,
        office.settings.watch_apart,
        condition,
        served.state.readiness.launching,
        office.hints,
        office.webhooks,
        token_expires,
        office.clock,
    )


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
