"""The receiver of GitLab's webhooks: verify, drop repeats, note the hint, answer at once."""

from __future__ import annotations

import json
import logging

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flowmaster_delivery.flows import intake
from flowmaster_delivery.model.errors import Malformed, Transient
from flowmaster_delivery.web.answers import failed
from flowmaster_delivery.web.attempts import webhook_refused
from flowmaster_delivery.web.bodies import TooLarge, read_limited
from flowmaster_delivery.web.hints import Hint, hint_of
from flowmaster_delivery.web.office import Office, office_of
from flowmaster_delivery.web.repeats import key_of
from flowmaster_delivery.web.signature import Rejected, verify

LOG = logging.getLogger(__name__)
LIMIT = 1024 * 1024
"""Bytes of a webhook's body."""
ASKED_BY = "intake"
ATTEMPTS = 3
"""How often a look is made before it is left to the sensor."""


async def receive(request: Request) -> Response:
    """202 for what was taken, is a repeat, or does not concern us; 4xx for what proves nothing."""
    office = office_of(request)
    response = await _received(request, office)
    office.webhooks[response.status_code] += 1
    return response


async def _received(request: Request, office: Office) -> Response:
    now = office.clock().timestamp()
    try:
        body = await read_limited(request, LIMIT)
        verify(request.headers, body, office.webhook_secrets, now)
    except TooLarge:
        return failed(413, "too_large", f"a webhook may have {LIMIT} bytes at most")
    except Malformed as error:
        return failed(400, "malformed", str(error))
    except Rejected as error:
        LOG.warning("webhook rejected: %s", error)
        await run_in_threadpool(webhook_refused, request, office, str(error))
        return failed(error.status, "rejected", str(error))
    return _take(request, body, office, now)


def _take(request: Request, body: bytes, office: Office, now: float) -> Response:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        return failed(400, "malformed", "a webhook's body is a JSON object")
    hint = hint_of(payload, office.catalog)
    if hint is None:
        return _told("ignored")
    key = key_of(request.headers, body)
    if not office.repeats.is_new(key, now):
        return _told("repeated")
    if not office.hints.offer(hint):
        office.repeats.forget(key)
        return failed(503, "busy", "too many webhooks wait already; the intake sensor finds it")
    return _told("taken")


def _told(what: str) -> Response:
    return JSONResponse({"webhook": what}, status_code=202)


def look(hint: Hint, office: Office) -> None:
    """Look where the hint points and launch what that leads to; the sensor does the same later."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _look(hint, office)
        except Transient as error:
            if attempt == ATTEMPTS:
                raise
            LOG.info("%s of %s: %s; trying again", hint.ref, hint.repository, error)
        else:
            return


def _look(hint: Hint, office: Office) -> None:
    repository = office.catalog.repository(hint.repository)
    found = intake.look_at_ref(repository, hint.ref, office.catalog, office.ports, office.clock())
    for order in found.orders:
        run = office.launcher.launch(order, ASKED_BY)
        LOG.info("%s: run %s (%s)", order.occasion, run.id, run.state)
