"""What goes on the audit trail before it counts: everything that is recorded goes by here.

A deed that somebody wants and that has not happened is not done where the trail cannot be written.
What has happened, and what the platform must do by itself in an emergency, is done all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flowmaster_delivery.model.audit import Deed, Whence
from flowmaster_delivery.policy.deeds.records import of_record
from flowmaster_delivery.ports import AuditTrail, History, Record

VOUCHED = "voucher"
"""How it is known who asked for a run: the coordinator's seal says so."""


class _AuditedHistory:
    """Reads go straight to the history; each record is told to `before` first, which may raise."""

    def __init__(self, history: History, before: Callable[[Record], None]) -> None:
        self.history, self._before = history, before

    def __getattr__(self, name: str) -> object:
        return getattr(self.history, name)

    def record(self, record: Record, shown: str = "") -> None:
        self._before(record)
        self.history.record(record, shown)


def audited(history: History, before: Callable[[Record], None]) -> History:
    """The history, with somebody told before each record; instead of who was told until now."""
    bare = history.history if isinstance(history, _AuditedHistory) else history
    return cast("History", _AuditedHistory(bare, before))


def by_the_platform(trail: AuditTrail, whence: Whence) -> Callable[[Record], None]:
    """Before what the platform records by itself: it goes on whatever becomes of the trail."""

    def before(record: Record) -> None:
        deed = of_record(record, whence, VOUCHED)
        if deed is not None:
            trail.append_late(deed)

    return before


def before_effect(trail: AuditTrail, deed: Deed | None) -> None:
    """Of what a person wants: raise what the trail raises, and it must not happen."""
    if deed is not None:
        trail.append(deed)
