"""Answers: records as JSON, and every error with the status that tells what kind it is.

Errors have one form: `{"error": {"kind": "refused", "message": "what, to what, what to do"}}`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flowmaster_delivery.model.errors import (
    CatalogFault,
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Throttled,
    Transient,
    UnknownName,
)
from flowmaster_delivery.redaction import hidden, hidden_within, meanwhile, reveals
from flowmaster_delivery.web.identity import (
    Forbidden,
    TooManyFailures,
    Unauthenticated,
    reader,
    token_of,
)
from flowmaster_delivery.web.office import office_of

LOG = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]
ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)

STATUSES: tuple[tuple[type[DeliveryError], int, str], ...] = (
    (Unauthenticated, 401, "unauthenticated"),
    (Forbidden, 403, "forbidden"),
    (TooManyFailures, 429, "too_many_failures"),
    (UnknownName, 404, "unknown"),
    (NotFound, 404, "not_found"),
    (Malformed, 400, "malformed"),
    (CatalogFault, 503, "catalog"),
    (Denied, 502, "denied"),
    (Throttled, 503, "throttled"),
    (Transient, 502, "unreachable"),
)
"""First match wins; what is not listed is a rule of ours that says no."""


def as_json(value: object, status: int = 200) -> Response:
    """Dataclasses, times and enums as JSON: times are ISO 8601, enums their values."""
    content = ANYTHING.dump_json(value).decode()
    if reveals(content):
        content = json.dumps(hidden_within(json.loads(content)))
    return Response(content, status_code=status, media_type="application/json")


def failed(status: int, kind: str, message: str) -> JSONResponse:
    said = {"kind": kind, "message": hidden(message)}
    return JSONResponse({"error": said}, status_code=status)


def of_error(error: DeliveryError) -> Response:
    """The answer that an error of ours gets."""
    status, kind = next(
        ((status, kind) for known, status, kind in STATUSES if isinstance(error, known)),
        (409, "refused"),
    )
    response = failed(status, kind, str(error))
    if isinstance(error, Throttled | TooManyFailures) and error.retry_after:
        response.headers["Retry-After"] = str(max(round(error.retry_after), 1))
    return response


def answered(handler: Handler) -> Handler:
    """A handler that answers nobody unknown, and whose errors become answers.

    What changes something asks itself who may do that, and GitLab anew.
    """
    return telling(known_only(handler))


def known_only(handler: Handler) -> Handler:
    """A handler of somebody's request; raise Unauthenticated where nobody is known."""

    async def of_somebody(request: Request) -> Response:
        await run_in_threadpool(reader, request, office_of(request))
        return await handler(request)

    return of_somebody


def telling(handler: Handler) -> Handler:
    """A handler whose errors become answers; nothing that it says shows the caller's token."""

    async def answering(request: Request) -> Response:
        with meanwhile(token_of(request)):
            try:
                return await handler(request)
            except DeliveryError as error:
                return of_error(error)
            except Exception as error:  # noqa: BLE001  # told while the token is still hidden
                return await unforeseen(request, error)

    return answering


async def unforeseen(request: Request, error: Exception) -> Response:
    """The answer to what nobody thought of: only that it happened leaves the server."""
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return failed(500, "internal", "the server failed in an unforeseen way; its log says how")
