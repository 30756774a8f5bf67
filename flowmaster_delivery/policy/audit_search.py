"""Which entries of the audit trail somebody looks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Search:
    """What an entry must say; what is None may be anything."""

    since: datetime | None = None
    until: datetime | None = None
    who: str | None = None
    environment: str | None = None
    service: str | None = None
    action: str | None = None

    def finds(self, said: Mapping[str, object]) -> bool:
        """Whether the entry is one of them. One that does not say when is: it was tampered with."""
        at = moment(said)
        if at is None:
            return True
        in_time = (self.since is None or at >= self.since) and (
            self.until is None or at < self.until
        )
        asked = {"who": self.who, "environment": self.environment, "action": self.action}
        named = all(said.get(name) == value for name, value in asked.items() if value is not None)
        services = said.get("services")
        among = isinstance(services, list) and self.service in services
        return in_time and named and (self.service is None or among)

    def is_before(self, said: Mapping[str, object]) -> bool:
        """Whether it is older than all that is looked for."""
        at = moment(said)
        return self.since is not None and at is not None and at < self.since


def moment(said: Mapping[str, object]) -> datetime | None:
    """When it was; None where the entry does not say that."""
    try:
        at = datetime.fromisoformat(str(said.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo else None
