"""What people read of a record beside its sealed form: its plain fields, by their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime

from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.ports import Record

UNSAID = frozenset({"environment", "service", "timeline"})
"""The event's own key and partition say it, or the report does."""


def facts(record: Record) -> dict[str, str]:
    """Field to its words, empty ones left out; nothing of a look: there are thousands a day."""
    return {} if isinstance(record, HealthObservation) else dict(_facts(record))


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    for field in fields(record):
        words = "" if field.name in UNSAID else _words(getattr(record, field.name))
        if words:
            yield field.name.replace("_", " "), words


def _words(value: object) -> str:
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case bool():
            return "yes" if value else "no"
        case str() | int():
            return str(value)
        case tuple() if all(isinstance(one, str) for one in value):
            return ", ".join(value)
        case _:
            return ""
