"""What is on record of an environment: read by `flowmaster replay`, which decides by itself."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows.timeline import Recorded, looks, what_was_done
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.office import Office, office_of

WANTED = "a timeline is asked for with ?environment=…&since=2026-03-02T12:00:00Z"


async def timeline(request: Request) -> Response:
    """Every record of an environment since a moment but its looks; with `service` the looks at that
    one. As `{"records": [{"kind": class name, "record": fields}], "cuts": […]}`."""
    query = request.query_params
    environment, since = query.get("environment"), query.get("since")
    if not environment or not since:
        raise Malformed(WANTED)
    wanted, office = (environment, _moment(since), query.get("service")), office_of(request)
    async with office.long_answers:
        return await run_in_threadpool(_answer, *wanted, office)


def _answer(environment: str, since: datetime, service: str | None, office: Office) -> Response:
    """Made where it may take its time: a year of looks is long."""
    found = _recorded(environment, since, service, office)
    records = [{"kind": type(one).__name__, "record": one} for one in found.records]
    return as_json({"records": records, "cuts": found.cuts})


def _recorded(environment: str, since: datetime, service: str | None, office: Office) -> Recorded:
    catalog, history = office.catalog, office.ports.history
    place = catalog.environment(environment)
    if service is None:
        return what_was_done(place, since, catalog, history)
    return looks(catalog.service(service), place, since, history)


def _moment(text: str) -> datetime:
    """A time with its zone, or in UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{text!r} is no time; {WANTED}") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


ROUTES = (Route("/api/timeline", answered(timeline), methods=["GET"]),)
