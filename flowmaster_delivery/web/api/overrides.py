"""Overrides: who lets a version past which gate of an environment, and until when."""

from __future__ import annotations

from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows import overrides
from flowmaster_delivery.flows.overrides import Told, Wish
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.audit import Action
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.promotion import Override
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.attempts import asking
from flowmaster_delivery.web.bodies import OverrideBody, parse
from flowmaster_delivery.web.identity import person
from flowmaster_delivery.web.office import Office, office_of


async def give(request: Request) -> Response:
    """Record the override of the person whose token the request carries."""
    body = await parse(request, OverrideBody)
    return as_json(await run_in_threadpool(_give, request, body, office_of(request)), 201)


def _give(request: Request, body: OverrideBody, office: Office) -> Override:
    environment = office.catalog.environment(body.environment)
    lasts = None if body.seconds is None else timedelta(seconds=body.seconds)
    wish = Wish(body.version, body.gate, body.reason, lasts)
    reading = Reading(office.catalog, office.ports)
    return overrides.give(wish, environment, person(request, office), reading, office.clock())


async def list_overrides(request: Request) -> Response:
    """Every override of a version, with why it does not count where it does not."""
    query = request.query_params
    environment, version = query.get("environment"), query.get("version")
    if not environment or not version:
        raise Malformed("overrides are asked for with ?environment=…&version=…")
    found = await run_in_threadpool(_listed, environment, version, office_of(request))
    return as_json(found)


def _listed(environment: str, version: str, office: Office) -> tuple[Told, ...]:
    where = office.catalog.environment(environment)
    reading = Reading(office.catalog, office.ports)
    return overrides.listed(where, version, reading, office.clock())


ROUTES = (
    Route("/api/overrides", answered(list_overrides), methods=["GET"]),
    asking("/api/overrides", give, Action.OVERRIDE_GIVEN),
)
