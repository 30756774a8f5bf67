"""Promotions and rollbacks: runs that people ask for, and how those runs fare."""

from __future__ import annotations

from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows import orders
from flowmaster_delivery.flows.approval import find_release
from flowmaster_delivery.flows.image import Source
from flowmaster_delivery.flows.intake import changed_by
from flowmaster_delivery.flows.overview import chosen_services
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.rollback import going_back
from flowmaster_delivery.model.audit import Action
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import Malformed, Refused
from flowmaster_delivery.ports import LaunchedRun, RunOrder
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.attempts import asking
from flowmaster_delivery.web.bodies import PromotionBody, RollbackBody, parse
from flowmaster_delivery.web.identity import asker
from flowmaster_delivery.web.office import Office, office_of


async def promote(request: Request) -> Response:
    """Launch the run that asks every gate and, where all are open, ships."""
    body = await parse(request, PromotionBody)
    run = await run_in_threadpool(_promote, request, body, office_of(request))
    return as_json(told(run, office_of(request).catalog), 202)


def _promote(request: Request, body: PromotionBody, office: Office) -> LaunchedRun:
    environment = office.catalog.environment(body.environment)
    for name in body.services:
        office.catalog.service(name)
    asked_by = asker(request, office, environment)
    repository, release = find_release(body.version, office.catalog, office.ports)
    services = chosen_services(repository, dict.fromkeys(body.services), office.catalog)
    source = Source(environment, repository, release.commit, release.version, release.version)
    every = [service.name for service in services]
    changed = changed_by(release, every, source, Reading(office.catalog, office.ports))
    names = changed or every
    order = orders.promotion(source, names, reason=body.reason, partial=body.partial)
    with office.one_promotion_at_a_time:
        _refuse_second(order, office)
        return office.launcher.launch(order, asked_by)


def _refuse_second(order: RunOrder, office: Office) -> None:
    """Two promotions of one repository into one environment would judge each other's past."""
    shared = {key: order.tags[key] for key in (orders.REPOSITORY, orders.ENVIRONMENT)}
    for purpose in ("promotion", "ship"):
        runs = office.launcher.runs({**shared, orders.PURPOSE: purpose})
        for run in (run for run in runs if not run.finished):
            who = run.tags.get("flowmaster/asked-by", "somebody")
            what = run.tags.get(orders.VERSION) or "a release"
            raise Refused(
                f"{who} is promoting {what} of {shared[orders.REPOSITORY]} to "
                f"{order.environment} right now (run {run.id}); wait until it has ended: {run.url}"
            )


async def roll_back(request: Request) -> Response:
    """Launch the run that brings services back to a version or to what they ran before."""
    body = await parse(request, RollbackBody)
    run = await run_in_threadpool(_roll_back, request, body, office_of(request))
    return as_json(told(run, office_of(request).catalog), 202)


def _roll_back(request: Request, body: RollbackBody, office: Office) -> LaunchedRun:
    environment = office.catalog.environment(body.environment)
    services = tuple(dict.fromkeys(office.catalog.service(n).name for n in body.services))
    asked_by = asker(request, office, environment)
    wanted = going_back(
        services, body.to, body.method, environment, office.catalog, office.ports.history
    )
    order = orders.rollback(environment, wanted, body.to, reason=body.reason, method=body.method)
    return office.launcher.launch(order, asked_by)


SOUGHT_BY = {
    "environment": orders.ENVIRONMENT,
    "repository": orders.REPOSITORY,
    "commit": orders.COMMIT,
    "version": orders.VERSION,
    "purpose": orders.PURPOSE,
}


async def list_runs(request: Request) -> Response:
    """The newest runs of a commit, a version, an environment …, newest first."""
    query = request.query_params
    unknown = [name for name in query if name not in SOUGHT_BY]
    if unknown or not query:
        raise Malformed(f"runs are sought by {', '.join(SOUGHT_BY)}, one at least")
    tags = {SOUGHT_BY[name]: value for name, value in query.items()}
    runs = await run_in_threadpool(office_of(request).launcher.runs, tags)
    return as_json([told(run, office_of(request).catalog) for run in runs])


async def run_of(request: Request) -> Response:
    """How a run fares, with the run that ships what it admitted, where there is one."""
    run_id: str = request.path_params["id"]
    return as_json(await run_in_threadpool(_run, run_id, office_of(request)))


def _run(run_id: str, office: Office) -> dict[str, object]:
    run = office.launcher.run(run_id)
    following = office.launcher.find(f"ship:{run.id}") if run.finished else None
    catalog = office.catalog
    return {**told(run, catalog), "next": told(following, catalog) if following else None}


def told(run: LaunchedRun, catalog: Catalog) -> dict[str, object]:
    """A run as the API shows it, with the services' own names: Dagster writes `_` for every `-`."""
    named = {name.replace("-", "_"): name for name in catalog.services}

    def own(name: str) -> str:
        return named.get(name, name)

    return {
        "run": run.id,
        "state": run.state,
        "finished": run.finished,
        "url": run.url,
        "reasons": [replace(reason, service=own(reason.service)) for reason in run.reasons],
        "steps": {
            f"{own(service)}{slash}{chapter}": state
            for service, slash, chapter, state in (
                (*step.partition("/"), state) for step, state in run.steps.items()
            )
        },
    }


ROUTES = (
    asking("/api/promotions", promote, Action.PROMOTION_ASKED),
    asking("/api/rollbacks", roll_back, Action.ROLLBACK_ASKED),
    Route("/api/runs", answered(list_runs), methods=["GET"]),
    Route("/api/runs/{id}", answered(run_of), methods=["GET"]),
)
