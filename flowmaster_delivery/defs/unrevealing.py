"""Dagster's own edges: what is stored of a run, and what a sensor says, shows no secret.

The process that knows a secret hides it: a run's in what it stores, a code server's in what it
hands to the daemon, which stores the ticks and has read no secret.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from dagster import EventLogEntry, SensorEvaluationContext, SensorResult, SkipReason
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._serdes import deserialize_value, serialize_value

from flowmaster_delivery.redaction import hidden, hidden_within, reveals

Said = SensorResult | SkipReason
Look = Callable[[SensorEvaluationContext], Any]


class UnrevealingLog(EventLogStorage):
    """Stands before a storage of events: errors with their stacks, metadata, checks, messages."""

    def store_event(self, event: EventLogEntry) -> None:
        super().store_event(unrevealing(event))  # type: ignore[safe-super]

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        super().store_event_batch([unrevealing(event) for event in events])


def unrevealing(event: EventLogEntry) -> EventLogEntry:
    """The event as it may be seen; itself where it shows nothing."""
    written = serialize_value(event)
    if not reveals(written):
        return event
    shown = json.dumps(hidden_within(json.loads(written)))
    return deserialize_value(shown, EventLogEntry)


class LookFailed(Exception):
    """What a sensor broke with, without the secrets in it."""


def unrevealing_look(look: Look) -> Look:
    """A sensor whose words and whose errors show no secret."""

    @wraps(look)
    def looking(context: SensorEvaluationContext) -> Any:
        try:
            return _unrevealing(look(context))
        except Exception as error:
            told = "".join(traceback.format_exception(error))
            if not reveals(told):
                raise
        # Out here, where the error is no part of this one: Dagster stores causes and contexts too.
        raise LookFailed(hidden(told))

    return looking


def _unrevealing(said: Said) -> Said:
    if isinstance(said, SkipReason):
        return _reason(said)
    return said._replace(skip_reason=_reason(said.skip_reason) if said.skip_reason else None)


def _reason(said: SkipReason) -> SkipReason:
    return SkipReason(hidden(said.skip_message or ""))
