"""Slack, by an incoming webhook, whose address is the secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from flowmaster_delivery.adapters.wire import MEGABYTE, Wire
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.events import Event, Severity
from flowmaster_delivery.redaction import hidden

LOG = logging.getLogger(__name__)

SIGNS = {
    Severity.INFO: ":information_source:",
    Severity.WARNING: ":warning:",
    Severity.CRITICAL: ":rotating_light:",
}
LONGEST = 2900
"""Characters of a section; Slack takes 3,000."""


class SlackNotifier:
    """Posts each event once, within `timeout` seconds for each step; what fails is logged."""

    def __init__(self, address: Callable[[], str], *, timeout: float = 5.0) -> None:
        self._address, self._timeout = address, timeout

    def tell(self, event: Event) -> None:
        try:
            self._post(event)
        except DeliveryError as error:
            LOG.warning("Slack was not told %r: %s", event.title, error)
        except Exception as error:  # noqa: BLE001  # delivery does not wait for a chat server
            # The message could hold the webhook's address, so only the kind of it is told.
            LOG.warning("Slack was not told %r: %s", event.title, type(error).__name__)

    def _post(self, event: Event) -> None:
        address = self._address()
        wire = Wire("Slack", address, timeout=self._timeout)
        try:
            content = json.dumps(message(event)).encode()
            headers = {"Content-Type": "application/json"}
            answer = wire.send("POST", address, headers=headers, content=content, limit=MEGABYTE)
        finally:
            wire.close()
        if answer.status != 200:
            LOG.warning("Slack was not told %r: it answered %d", event.title, answer.status)


def message(event: Event) -> dict[str, object]:
    """The body of the post: plain `text` for notifications, blocks for the channel."""
    title = f"{SIGNS[event.severity]} *{escaped(event.title)}*"
    about = [word for word in (event.environment, event.service) if word]
    links = " · ".join(f"<{_address(url)}|{escaped(name)}>" for name, url in event.links)
    lines = [title, escaped(event.text), links]
    blocks: list[dict[str, object]] = [_section("\n".join(line for line in lines if line))]
    if about:
        words = [{"type": "mrkdwn", "text": escaped(" · ".join(about))}]
        blocks.append({"type": "context", "elements": words})
    return {"text": escaped(f"{event.title}: {event.text}"[:LONGEST]), "blocks": blocks}


def _section(text: str) -> dict[str, object]:
    short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": short}}


def escaped(text: str) -> str:
    """Text that names nobody, links nowhere and shows no secret, whatever a commit's title says."""
    return hidden(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _address(url: str) -> str:
    return escaped(url).replace("|", "%7C")
