"""What people say and it holds at once: approvals, holds, adoptions. Records, not runs."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows import adopt, approval, holds
from flowmaster_delivery.flows.adopt import Adopted
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.audit import Action
from flowmaster_delivery.model.errors import UnknownName
from flowmaster_delivery.model.promotion import Approval, Hold
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.attempts import asking
from flowmaster_delivery.web.bodies import AdoptionBody, ApprovalBody, HoldBody, ReleaseBody, parse
from flowmaster_delivery.web.identity import asker, person
from flowmaster_delivery.web.office import Office, office_of


async def approve(request: Request) -> Response:
    """Record the approval, or its withdrawal, of the person whose token the request carries."""
    body = await parse(request, ApprovalBody)
    return as_json(await run_in_threadpool(_approve, request, body, office_of(request)), 201)


def _approve(request: Request, body: ApprovalBody, office: Office) -> Approval:
    environment = office.catalog.environment(body.environment)
    return approval.approve(
        environment,
        body.version,
        person(request, office),
        office.catalog,
        office.ports,
        office.clock(),
        withdraw=body.withdraw,
    )


async def list_holds(request: Request) -> Response:
    office = office_of(request)
    environment = request.query_params.get("environment")
    if environment:
        office.catalog.environment(environment)
    found = await run_in_threadpool(holds.active, office.ports.history, environment)
    return as_json(found)


async def place_hold(request: Request) -> Response:
    body = await parse(request, HoldBody)
    return as_json(await run_in_threadpool(_place, request, body, office_of(request)), 201)


def _place(request: Request, body: HoldBody, office: Office) -> Hold:
    service = office.catalog.service(body.service)
    environment = office.catalog.environment(body.environment)
    author = asker(request, office, environment)
    return holds.place(
        service, environment, author, body.reason, office.ports.history, office.clock()
    )


async def release_hold(request: Request) -> Response:
    body = await parse(request, ReleaseBody)
    return as_json(await run_in_threadpool(_release, request, body, office_of(request)))


def _release(request: Request, body: ReleaseBody, office: Office) -> Hold:
    wanted: str = request.path_params["id"]
    history = office.ports.history
    known = {hold.id: hold for hold in history.holds()}
    if wanted not in known:
        raise UnknownName("hold", wanted, [hold.id for hold in known.values() if hold.active])
    by = asker(request, office, office.catalog.environment(known[wanted].environment))
    return holds.release(wanted, by, body.reason, history, office.clock())


async def adopt_environment(request: Request) -> Response:
    """Take over what runs in an environment already; the person who asks vouches for it."""
    body = await parse(request, AdoptionBody)
    return as_json(await run_in_threadpool(_adopt, request, body, office_of(request)), 201)


def _adopt(request: Request, body: AdoptionBody, office: Office) -> tuple[Adopted, ...]:
    environment = office.catalog.environment(body.environment)
    by = asker(request, office, environment)
    reading = Reading(office.catalog, office.ports)
    return adopt.adopt(environment, by, body.reason, reading, office.clock())


ROUTES = (
    asking("/api/approvals", approve, Action.APPROVAL_GIVEN),
    Route("/api/holds", answered(list_holds), methods=["GET"]),
    asking("/api/holds", place_hold, Action.HOLD_PLACED),
    asking("/api/holds/{id}/release", release_hold, Action.HOLD_RELEASED),
    asking("/api/adoptions", adopt_environment, Action.ADOPTION),
)
