"""Where the messages to people end up: Slack, PagerDuty and Grafana, and a page that shows them."""

from __future__ import annotations

import hmac
import html
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from flowmaster_delivery.sandbox.bodies import read_object

KEPT_MESSAGES = 1000
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox inbox</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}
li{{margin:0 0 1rem;list-style:none;border-left:4px solid #8a8;padding:.2rem .8rem}}ul{{padding:0}}
.pagerduty{{border-color:#c55}}.grafana{{border-color:#e90}}small{{color:#667}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}}summary{{cursor:pointer}}</style>
<h1>Sandbox inbox</h1><p>{count} messages, the newest first.</p><ul>{entries}</ul></html>"""
ENTRY = """<li class="{kind}"><small>{at} &middot; {kind} &middot; {target}</small><pre>{text}</pre>
<details><summary>as it came</summary><pre>{body}</pre></details></li>"""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came. `kind` is slack, pagerduty or grafana."""

    id: int
    kind: str
    target: str
    text: str
    body: dict[str, object]
    at: datetime

    def as_dict(self) -> dict[str, object]:
        return {
            "id": self.id,
            "kind": self.kind,
            "target": self.target,
            "text": self.text,
            "body": self.body,
            "at": self.at.isoformat(),
        }


@dataclass(slots=True)
class Inbox:
    """The last thousand messages. The secrets are of the kinds that the real services give out."""

    slack_secret: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    pagerduty_key: str = field(default_factory=lambda: secrets.token_hex(16))
    grafana_token: str = field(default_factory=lambda: "glsa_" + secrets.token_urlsafe(24))
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    _count: int = 0

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/slack/services/{team}/{channel}/{secret}", self._slack, methods=["POST"]),
                Route("/pagerduty/v2/enqueue", self._pagerduty, methods=["POST"]),
                Route("/grafana/api/annotations", self._grafana, methods=["POST"]),
                Route("/inbox", self._show),
                Route("/", self._show),
            ]
        )

    def addresses(self, url: str) -> dict[str, str]:
        """Where clients send to, by the kind of message; the Slack address is itself a secret."""
        return {
            "slack_webhook_url": f"{url}/slack/services/T0SANDBOX/B0DELIVERY/{self.slack_secret}",
            "pagerduty_url": f"{url}/pagerduty/v2/enqueue",
            "pagerduty_routing_key": self.pagerduty_key,
            "grafana_url": f"{url}/grafana",
            "grafana_token": self.grafana_token,
        }

    def _keep(self, kind: str, target: str, text: str, body: dict[str, object]) -> Message:
        self._count += 1
        at = datetime.fromtimestamp(time.time(), UTC)
        self.messages.append(Message(self._count, kind, target, text, body, at))
        return self.messages[-1]

    async def _slack(self, request: Request) -> Response:
        if not _same(request.path_params["secret"], self.slack_secret):
            return PlainTextResponse("invalid_token", 403)
        try:
            body = await read_object(request)
        except HTTPException as error:
            return PlainTextResponse("invalid_payload", error.status_code)
        text = body.get("text") or _text_of_blocks(body)
        if not text:
            return PlainTextResponse("no_text", 400)
        self._keep("slack", request.path_params["channel"], str(text), body)
        return PlainTextResponse("ok")

    async def _pagerduty(self, request: Request) -> Response:
        body = await read_object(request)
        payload = body.get("payload")
        faults = [
            f"'{n}' is missing or blank" for n in ("routing_key", "event_action") if not body.get(n)
        ]
        if body.get("event_action") == "trigger" and not isinstance(payload, dict):
            faults.append("'payload' is missing or blank")
        if not faults and not _same(str(body["routing_key"]), self.pagerduty_key):
            faults = ["'routing_key' is unknown"]
        if faults:
            answer = {
                "status": "invalid event",
                "message": "Event object is invalid",
                "errors": faults,
            }
            return JSONResponse(answer, 400)
        shown = {k: v for k, v in body.items() if k != "routing_key"}
        summary = payload.get("summary", "") if isinstance(payload, dict) else ""
        message = self._keep("pagerduty", str(body["event_action"]), str(summary), shown)
        key = body.get("dedup_key") or f"sandbox-{message.id}"
        answer = {"status": "success", "message": "Event processed", "dedup_key": str(key)}
        return JSONResponse(answer, 202)

    async def _grafana(self, request: Request) -> Response:
        brought = request.headers.get("authorization", "")
        if not _same(brought, f"Bearer {self.grafana_token}"):
            return JSONResponse({"message": "Invalid API key"}, 401)
        body = await read_object(request)
        if not body.get("text"):
            return JSONResponse({"message": "Failed to save annotation: text is empty"}, 400)
        message = self._keep("grafana", "annotations", str(body["text"]), body)
        return JSONResponse({"message": "Annotation added", "id": message.id})

    async def _show(self, request: Request) -> Response:
        newest = list(reversed(self.messages))
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse([m.as_dict() for m in newest])
        entries = "\n".join(_entry(m) for m in newest)
        page = PAGE.format(count=len(newest), entries=entries)
        return HTMLResponse(
            page,
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )


def _entry(message: Message) -> str:
    words = {
        "kind": message.kind,
        "target": message.target,
        "text": message.text,
        "at": f"{message.at:%Y-%m-%d %H:%M:%S} UTC",
        "body": json.dumps(message.body, indent=2, ensure_ascii=False),
    }
    return ENTRY.format(**{k: html.escape(v) for k, v in words.items()})


def _text_of_blocks(body: dict[str, object]) -> str:
    """The first text of a message that consists of blocks or attachments."""
    for name in ("blocks", "attachments"):
        parts = body.get(name)
        for part in parts if isinstance(parts, list) else []:
            text = part.get("text") if isinstance(part, dict) else None
            found = text.get("text") if isinstance(text, dict) else text
            if found:
                return str(found)
    return ""


def _same(brought: str, expected: str) -> bool:
    return hmac.compare_digest(brought.encode(), expected.encode())
