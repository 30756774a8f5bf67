"""Canaries: which there are, and orders to them."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows.canary import orders
from flowmaster_delivery.model.audit import Action
from flowmaster_delivery.model.canary import CanaryOrder
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.attempts import asking
from flowmaster_delivery.web.bodies import CanaryOrderBody, parse
from flowmaster_delivery.web.identity import asker
from flowmaster_delivery.web.office import Office, office_of


async def list_canaries(request: Request) -> Response:
    """The canaries that run, of one environment or of all."""
    office = office_of(request)
    catalog, wanted = office.catalog, request.query_params.get("environment")
    places = [catalog.environment(wanted)] if wanted else list(catalog.environments.values())
    found = await run_in_threadpool(orders.running, places, catalog, office.ports)
    return as_json(found)


async def order(request: Request) -> Response:
    """Record what a person tells a canary to do; its run sees it at its next look."""
    body = await parse(request, CanaryOrderBody)
    return as_json(await run_in_threadpool(_order, request, body, office_of(request)), 201)


def _order(request: Request, body: CanaryOrderBody, office: Office) -> CanaryOrder:
    service = office.catalog.service(body.service)
    environment = office.catalog.environment(body.environment)
    by = asker(request, office, environment)
    given = orders.order(
        service, environment, body.command, by, body.reason, office.ports, office.clock()
    )
    office.ports.history.record(given)
    return given


ROUTES = (
    Route("/api/canaries", answered(list_canaries), methods=["GET"]),
    asking("/api/canaries/orders", order, Action.CANARY_ORDERED),
)
