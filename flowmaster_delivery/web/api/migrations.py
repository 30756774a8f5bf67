"""Migrations: at which version each schema is where, and a person's word on it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows.migrations import schemas
from flowmaster_delivery.flows.migrations.schemas import SchemaRow
from flowmaster_delivery.model.audit import Action
from flowmaster_delivery.model.migration import MigrationRecord
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.attempts import asking
from flowmaster_delivery.web.bodies import SettlementBody, parse
from flowmaster_delivery.web.identity import asker
from flowmaster_delivery.web.office import Office, office_of


async def list_schemas(request: Request) -> Response:
    """Every schema, or those of `?environment=…`, with what was done to it last."""
    named = request.query_params.get("environment")
    return as_json(await run_in_threadpool(_listed, named, office_of(request)))


def _listed(named: str | None, office: Office) -> tuple[SchemaRow, ...]:
    environment = office.catalog.environment(named) if named else None
    return schemas.listed(office.catalog, office.ports.history, environment)


async def settle(request: Request) -> Response:
    """Record at which version a schema is, on the word of whoever asks."""
    body = await parse(request, SettlementBody)
    return as_json(await run_in_threadpool(_settle, request, body, office_of(request)), 201)


def _settle(request: Request, body: SettlementBody, office: Office) -> MigrationRecord:
    job = office.catalog.service(body.job)
    environment = office.catalog.environment(body.environment)
    by = asker(request, office, environment)
    return schemas.settle(
        job, environment, body.version, body.reason, by, office.ports.history, office.clock()
    )


ROUTES = (
    Route("/api/migrations", answered(list_schemas), methods=["GET"]),
    asking("/api/migrations", settle, Action.SCHEMA_SETTLED),
)
