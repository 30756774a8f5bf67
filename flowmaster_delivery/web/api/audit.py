"""The audit trail: what is on it, its head, parts to keep elsewhere, and whether it is whole."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flowmaster_delivery.flows import audit_reading
from flowmaster_delivery.model.audit import START, Action, Head
from flowmaster_delivery.model.errors import Malformed, UnknownName
from flowmaster_delivery.policy.audit_search import Search
from flowmaster_delivery.web.answers import answered, as_json
from flowmaster_delivery.web.office import Office, office_of

MOST = 1000
"""Entries of one answer."""


async def search(request: Request) -> Response:
    """The newest first, those of `?since=…&who=…`; `next` is what to give as `before` to go on."""
    query, office = request.query_params, office_of(request)
    wanted = Search(
        since=_moment(query.get("since")),
        until=_moment(query.get("until")),
        who=query.get("who"),
        environment=query.get("environment"),
        service=query.get("service"),
        action=_action(query.get("action")),
    )
    before = _number(request, "before", 0) or None
    limit = _number(request, "limit", 100)
    async with office.long_answers:
        found = await run_in_threadpool(
            audit_reading.found, wanted, before, limit, office.ports.audit
        )
    return as_json(found)


async def chain(request: Request) -> Response:
    """Entries behind `?after=…`, oldest first and none left out."""
    office, after = office_of(request), _number(request, "after", 0)
    found = await run_in_threadpool(audit_reading.part, after, MOST, office.ports.audit)
    return as_json(found)


async def head(request: Request) -> Response:
    """The newest entry's number and hash."""
    newest = await run_in_threadpool(office_of(request).ports.audit.head)
    return as_json({"sequence": newest.sequence, "hash": newest.hash, "head": str(newest)})


async def check(request: Request) -> Response:
    """Whether the trail is whole; with `?head=…`, whether heads that were noted still stand."""
    office = office_of(request)
    noted = [Head.of(text) for text in request.query_params.getlist("head")]
    after = request.query_params.get("after")
    behind = Head.of(after) if after else START
    async with office.long_answers:
        return await run_in_threadpool(_check, noted, behind, office)


def _check(noted: list[Head], after: Head, office: Office) -> Response:
    key = office.settings.seal_key.read()
    found = audit_reading.check(office.ports.audit, key, noted, after)
    return as_json({"whole": found.whole, "verified": found, "head": str(found.head)})


def _moment(text: str | None) -> datetime | None:
    """A time with its zone, or in UTC."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{text!r} is no time; give one as 2026-03-02T12:00:00Z") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _action(name: str | None) -> str | None:
    known = [action.value for action in Action]
    if name is not None and name not in known:
        raise UnknownName("action", name, known)
    return name


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Malformed(f"{name} is a number, and not {text[:40]!r}")
    return max(1, min(int(text), MOST)) if name == "limit" else int(text)


ROUTES = (
    Route("/api/audit", answered(search), methods=["GET"]),
    Route("/api/audit/chain", answered(chain), methods=["GET"]),
    Route("/api/audit/head", answered(head), methods=["GET"]),
    Route("/api/audit/check", answered(check), methods=["GET"]),
)
