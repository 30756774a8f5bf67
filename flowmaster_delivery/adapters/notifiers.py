"""Notifiers that need no technology of their own: the log, and several at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from flowmaster_delivery.model.events import Event, Severity
from flowmaster_delivery.ports import Notifier

LOG = logging.getLogger("flowmaster.events")

LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.CRITICAL: logging.ERROR,
}


class LogNotifier:
    """Writes each event to the log `flowmaster.events`, in one line."""

    def tell(self, event: Event) -> None:
        about = "/".join(word for word in (event.environment, event.service) if word)
        text = " ".join(event.text.split())
        LOG.log(LEVELS[event.severity], "%s [%s] %s: %s", event.kind, about, event.title, text)


class SeveralNotifiers:
    """Tells each of them, in turn; one that fails against its promise stops no other."""

    def __init__(self, notifiers: Iterable[Notifier]) -> None:
        self._notifiers = tuple(notifiers)

    def tell(self, event: Event) -> None:
        for notifier in self._notifiers:
            try:
                notifier.tell(event)
            except Exception:
                LOG.exception("%s did not tell %r", type(notifier).__name__, event.title)
