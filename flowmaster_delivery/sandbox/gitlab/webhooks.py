"""Webhooks: signed, sent once, never retried, switched off when they keep failing.

Rules from GitLab's documentation (19.x): Standard Webhooks headers where there is a signing token,
the plain token beside it; four failures in a row switch a hook off for a minute, doubling up to a
day, forty for good.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import httpx

from flowmaster_delivery.sandbox.gitlab.records import Hook, HookEvent, now
from flowmaster_delivery.sandbox.gitlab.state import Project

TIMEOUT = 10.0
FAILURES_TO_PAUSE = 4
FAILURES_TO_DISABLE = 40
LONGEST_PAUSE = timedelta(days=1)
REFS_TOO_MANY = 3
"""A push that changes more branches (or tags) than this sends no webhook for them."""

SECRETS = ("X-Gitlab-Token", "webhook-signature")
EVENT_NAMES = {
    "push_events": "Push Hook",
    "tag_push_events": "Tag Push Hook",
    "merge_requests_events": "Merge Request Hook",
    "pipeline_events": "Pipeline Hook",
    "job_events": "Job Hook",
    "deployment_events": "Deployment Hook",
    "releases_events": "Release Hook",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    hook: Hook
    event: HookEvent


@dataclass(slots=True)
class Outbox:
    """What waits to be sent. `lose` and `double` say how the next ones shall go wrong."""

    url: str = ""
    lose: int = 0
    double: int = 0
    _waiting: deque[Delivery] = field(default_factory=deque)
    _events: int = 0

    def announce(self, project: Project, trigger: str, body: Mapping[str, Any]) -> None:
        """Queue the event for each of the project's hooks that wants it."""
        for hook in project.hooks.values():
            if _wants(hook, trigger, body):
                self.put(hook, trigger, body)

    def put(self, hook: Hook, trigger: str, body: Mapping[str, Any]) -> HookEvent:
        self._events += 1
        data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        key = str(uuid.uuid4())
        event = HookEvent(self._events, trigger, key, data, {})
        hook.events.appendleft(event)
        self._enqueue(hook, event)
        return event

    def resend(self, hook: Hook, event: HookEvent) -> None:
        """Send an event again, with the same idempotency key."""
        self._waiting.append(Delivery(hook, event))

    def _enqueue(self, hook: Hook, event: HookEvent) -> None:
        if self.lose > 0:
            self.lose -= 1
            event.response_status = "lost by order"
            return
        self._waiting.append(Delivery(hook, event))
        if self.double > 0:
            self.double -= 1
            self._waiting.append(Delivery(hook, event))

    def take(self) -> list[Delivery]:
        """All that wait, in order; they wait no longer."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        return taken

    @property
    def empty(self) -> bool:
        return not self._waiting


def _wants(hook: Hook, trigger: str, body: Mapping[str, Any]) -> bool:
    if not hook.triggers.get(trigger) or hook.alert_status(now()) != "executable":
        return False
    if trigger == "push_events" and hook.branch_filter:
        branch = str(body.get("ref", "")).removeprefix("refs/heads/")
        return fnmatchcase(branch, hook.branch_filter)
    return True


def signature(signing_token: str, key: str, timestamp: str, body: bytes) -> str:
    """`v1,<base64>` of the HMAC-SHA256 over `id.timestamp.body` (Standard Webhooks)."""
    secret = base64.b64decode(signing_token.removeprefix("whsec_"))
    message = f"{key}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()


def request_headers(hook: Hook, event: HookEvent, instance: str, timestamp: str) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitLab/19.4.0-sandbox",
        "Idempotency-Key": event.key,
        "X-Gitlab-Event": EVENT_NAMES.get(event.trigger, "System Hook"),
        "X-Gitlab-Event-UUID": str(uuid.uuid4()),
        "X-Gitlab-Webhook-UUID": str(uuid.uuid4()),
        "X-Gitlab-Instance": instance,
        "webhook-id": event.key,
        "webhook-timestamp": timestamp,
        **hook.custom_headers,
    }
    if hook.token:
        headers["X-Gitlab-Token"] = hook.token
    if hook.signing_token:
        headers["webhook-signature"] = signature(
            hook.signing_token, event.key, timestamp, event.body
        )
    return headers


async def deliver(client: httpx.AsyncClient, instance: str, delivery: Delivery) -> None:
    """Send one event and note how it went; a failure is noted, never raised."""
    hook, event = delivery.hook, delivery.event
    started = time.monotonic()
    try:
        headers = request_headers(hook, event, instance, str(int(time.time())))
        event.request_headers = {k: "[REDACTED]" if k in SECRETS else v for k, v in headers.items()}
        async with asyncio.timeout(TIMEOUT):
            response = await client.post(hook.url, content=event.body, headers=headers)
        event.response_status = str(response.status_code)
        succeeded = response.is_success
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError):
        event.response_status = "internal error"
        succeeded = False
    event.duration = time.monotonic() - started
    _count(hook, succeeded=succeeded)


def _count(hook: Hook, *, succeeded: bool) -> None:
    if succeeded:
        hook.failures = hook.backoffs = 0
        hook.disabled, hook.disabled_until = False, None
        return
    hook.failures += 1
    if hook.failures >= FAILURES_TO_DISABLE:
        hook.disabled = True
    elif hook.failures >= FAILURES_TO_PAUSE:
        pause = min(timedelta(minutes=2**hook.backoffs), LONGEST_PAUSE)
        hook.backoffs = min(hook.backoffs + 1, 11)
        hook.disabled_until = now() + pause
