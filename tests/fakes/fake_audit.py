"""An audit trail in memory: a real chain, that can be out of reach."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmaster_delivery.model.audit import START, AuditEntry, Deed, Head, chained
from flowmaster_delivery.model.errors import Unreachable

KEY = "a key that is long enough"


@dataclass
class FakeAudit:
    entries: list[AuditEntry] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    """What was written, as it was given."""
    late: list[Deed] = field(default_factory=list)
    """What could not be written when it had happened."""
    away: bool = False

    def append(self, deed: Deed) -> AuditEntry:
        self._asked()
        self.deeds.append(deed)
        self.entries.append(chained(deed, self.head(), KEY))
        return self.entries[-1]

    def append_late(self, deed: Deed) -> None:
        if self.away:
            self.late.append(deed)
        else:
            self.append(deed)

    def head(self) -> Head:
        self._asked()
        return self.entries[-1].head if self.entries else START

    def read(self, after: int = 0, limit: int = 1000) -> tuple[AuditEntry, ...]:
        self._asked()
        return tuple(e for e in self.entries if e.sequence > after)[:limit]

    def newest(self, before: int | None = None, limit: int = 1000) -> tuple[AuditEntry, ...]:
        self._asked()
        found = (e for e in reversed(self.entries) if before is None or e.sequence < before)
        return tuple(found)[:limit]

    def _asked(self) -> None:
        if self.away:
            raise Unreachable("the audit trail gives no answer")
