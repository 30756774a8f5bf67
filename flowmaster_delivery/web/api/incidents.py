"""Incidents: what spoke against releases, what was done, and the answer where a person is asked."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows import orders
from flowmaster_delivery.flows.incidents.opening import every, find
from flowmaster_delivery.flows.incidents.people import decide_asked
from flowmaster_delivery.model.audit import Action
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.policy.incident_report import report
from flowmaster_delivery.ports import LaunchedRun
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.api.promotions import told
from flowmaster_delivery.web.attempts import asking
from flowmaster_delivery.web.bodies import DecisionBody, parse
from flowmaster_delivery.web.identity import asker
from flowmaster_delivery.web.office import Office, office_of


async def list_incidents(request: Request) -> Response:
    """The newest of one environment or of all; with `open=1` those that are not over."""
    office, query = office_of(request), request.query_params
    environment = query.get("environment")
    if environment:
        office.catalog.environment(environment)
    found = await run_in_threadpool(every, office.catalog, office.ports.history, environment)
    return as_json([one for one in found if one.state.open or not query.get("open")])


async def show_incident(request: Request) -> Response:
    """One incident, with its report in Markdown."""
    office, wanted = office_of(request), request.path_params["id"]
    found = await run_in_threadpool(find, wanted, office.catalog, office.ports.history)
    return as_json({"incident": found, "report": report(found)})


async def approve(request: Request) -> Response:
    """Record who approved, and launch the run that rolls back."""
    body, office = await parse(request, DecisionBody), office_of(request)
    run = await run_in_threadpool(_approve, request, body, office)
    return as_json(told(run, office.catalog), 202)


def _approve(request: Request, body: DecisionBody, office: Office) -> LaunchedRun:
    incident, by = _decided(request, body, office, approve=True)
    reason = body.reason or incident.reason
    return office.launcher.launch(orders.incident_rollback(incident, reason=reason), by)


async def dismiss(request: Request) -> Response:
    """Record who decided to live with it, and why."""
    body, office = await parse(request, DecisionBody), office_of(request)
    decided, _ = await run_in_threadpool(_decided, request, body, office, approve=False)
    return as_json(decided)


def _decided(
    request: Request, body: DecisionBody, office: Office, *, approve: bool
) -> tuple[Incident, str]:
    """One decision at a time: of two people who decide at once the second one is told so."""
    wanted: str = request.path_params["id"]
    history = office.ports.history
    incident = find(wanted, office.catalog, history)
    by = asker(request, office, office.catalog.environment(incident.environment))
    with office.one_decision_at_a_time:
        decided = decide_asked(
            wanted,
            approve=approve,
            by=by,
            reason=body.reason,
            catalog=office.catalog,
            history=history,
            now=office.clock(),
        )
    return decided, by


ROUTES = (
    Route("/api/incidents", answered(list_incidents), methods=["GET"]),
    Route("/api/incidents/{id}", answered(show_incident), methods=["GET"]),
    asking("/api/incidents/{id}/approve", approve, Action.INCIDENT_APPROVED),
    asking("/api/incidents/{id}/dismiss", dismiss, Action.INCIDENT_DISMISSED),
)
