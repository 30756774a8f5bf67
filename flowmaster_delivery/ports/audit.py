"""The audit trail: entries are added at its end and read, never changed."""

from __future__ import annotations

from typing import Protocol

from flowmaster_delivery.model.audit import AuditEntry, Deed, Head


class AuditTrail(Protocol):
    """One chain for all processes of an installation, however many write at once."""

    def append(self, deed: Deed) -> AuditEntry:
        """Before a deed takes effect. Raise Unreachable or Denied: then it must not."""

    def append_late(self, deed: Deed) -> None:
        """When it has happened, or must whatever becomes of the trail. Never raises: what cannot be
        written is logged whole, and tried again."""

    def head(self) -> Head:
        """The newest entry; START where there is none."""

    def read(self, after: int = 0, limit: int = 1000) -> tuple[AuditEntry, ...]:
        """Entries with higher numbers than `after`, oldest first."""

    def newest(self, before: int | None = None, limit: int = 1000) -> tuple[AuditEntry, ...]:
        """Entries with lower numbers than `before`, or all of them, newest first."""
