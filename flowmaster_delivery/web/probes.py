"""Whether the server works: `/healthz` for its life, `/readyz` for whether it is of use just now.

Its life is its own work only: an outage of somebody else, which no restart mends, is never a reason
to end it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.ports import Launcher
from flowmaster_delivery.ports.pulse import Pulse
from flowmaster_delivery.web.answers import failed
from flowmaster_delivery.web.fresh import Fresh
from flowmaster_delivery.web.office import Office

LOG = logging.getLogger(__name__)
SECONDS = 5.0
"""How old an answer may be: the kubelet and a load balancer ask often."""
PATIENCE = 2.0
"""Seconds for which each is waited for; a probe itself waits no longer than five."""


class Readiness:
    """What the server needs to be of use: the database, and a webserver that can launch runs."""

    def __init__(self, pulse: Pulse, launcher: Launcher) -> None:
        self.database = _fresh(pulse.daemons, "the database")
        self.launching = _fresh(launcher.check, "Dagster's webserver")

    def reasons(self) -> tuple[str, ...]:
        """Why it is not ready; nothing where it is."""
        needed = ("the database", self.database), ("launching runs", self.launching)
        return tuple(f"{what} is away" for what, one in needed if _is_away(one))


def _fresh(read: Callable[[], object], what: str) -> Fresh[object]:
    return Fresh(read, what, seconds=SECONDS, patience=PATIENCE)


def _is_away(needed: Fresh[object]) -> bool:
    """The answer goes to whoever asks, so that what exactly is wrong is for the log only."""
    try:
        needed.get()
    except DeliveryError as error:
        LOG.warning("not ready: %s", error)
        return True
    return False


async def healthz(request: Request) -> Response:
    office: Office = request.app.state.office
    return _answer(office.hints.troubles(time.monotonic()), "stuck")


async def readyz(request: Request) -> Response:
    readiness: Readiness = request.app.state.readiness
    return _answer(await run_in_threadpool(readiness.reasons), "not_ready")


def _answer(reasons: tuple[str, ...], kind: str) -> Response:
    return failed(503, kind, "; ".join(reasons)) if reasons else JSONResponse({"status": "ok"})


ROUTES = (
    Route("/healthz", healthz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
)
