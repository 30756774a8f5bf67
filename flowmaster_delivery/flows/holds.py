"""Holds: no promotion of one service in one environment, placed and released by name."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime

from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import Refused, UnknownName
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.ports import History


def place(
    service: Service,
    environment: Environment,
    author: str,
    reason: str,
    history: History,
    now: datetime,
) -> Hold:
    """Record a hold. A reason is required: whoever meets it at night has nothing else."""
    if not reason.strip():
        raise Refused(f"a hold of {service.name} in {environment.name} needs a reason; give one")
    hold = Hold(
        id=uuid.uuid4().hex[:8],
        service=service.name,
        environment=environment.name,
        author=author,
        reason=reason.strip(),
        at=now,
    )
    history.record(hold)
    return hold


def release(hold_id: str, by: str, reason: str, history: History, now: datetime) -> Hold:
    """Release a hold by its id. Releasing one that is released already changes nothing."""
    holds = {hold.id: hold for hold in history.holds()}
    if hold_id not in holds:
        active = [hold.id for hold in holds.values() if hold.active]
        raise UnknownName("hold", hold_id, active)
    hold = holds[hold_id]
    if not hold.active:
        return hold
    released = replace(hold, released_by=by, released_at=now, release_reason=reason.strip())
    history.record(released)
    return released


def active(history: History, environment: str | None = None) -> tuple[Hold, ...]:
    """The holds that are in force, newest first."""
    found = [
        hold for hold in history.holds() if hold.active and environment in (None, hold.environment)
    ]
    return tuple(sorted(found, key=lambda hold: hold.at, reverse=True))
