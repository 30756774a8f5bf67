"""What runs where, and what a promotion would do: reads only."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows import overview
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.office import office_of


async def status(request: Request) -> Response:
    """Every service in every environment: a list of rows."""
    office = office_of(request)
    rows = await run_in_threadpool(overview.status, office.catalog, office.ports)
    return as_json(rows)


async def plan(request: Request) -> Response:
    """What promoting a version would do to each service, and every reason against it."""
    office = office_of(request)
    query = request.query_params
    environment, version = query.get("environment"), query.get("version")
    if not environment or not version:
        raise Malformed("a plan is asked for with ?environment=…&version=…")
    found = await run_in_threadpool(
        overview.plan,
        office.catalog.environment(environment),
        version,
        tuple(query.getlist("service")),
        Reading(office.catalog, office.ports),
        office.clock(),
    )
    return as_json({"open": found.open, "plan": found})


ROUTES = (
    Route("/api/status", answered(status), methods=["GET"]),
    Route("/api/plan", answered(plan), methods=["GET"]),
)
