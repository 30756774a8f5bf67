"""Seals: text that only a holder of the key can have written (HMAC-SHA256, constant-time compare).

A seal proves who wrote, not when: whoever unseals checks times and names inside the text.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from flowmaster_delivery.model.errors import Permanent

SHORTEST_KEY = 16


def signature(key: str, text: str) -> str:
    """Hex HMAC-SHA256 of the text. Raise Permanent for a key that could be guessed."""
    if len(key) < SHORTEST_KEY:
        raise Permanent(f"the seal key is too short; give it at least {SHORTEST_KEY} characters")
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def proves(key: str, text: str, seal_: str) -> bool:
    """Whether the signature belongs to the text."""
    return hmac.compare_digest(signature(key, text).encode(), seal_.encode())


def seal(key: str, text: str) -> str:
    """The text with its signature behind the last dot."""
    return f"{text}.{signature(key, text)}"


def unseal(key: str, text: str) -> str | None:
    """The sealed text, or None where this key did not seal it."""
    content, _, mark = text.rpartition(".")
    return content if content and proves(key, content, mark) else None


@dataclass(frozen=True, slots=True)
class Grant:
    """That somebody known asked for one occasion in one environment, until a time.

    The run coordinator believes a run's asker only by a sealed one (tag `flowmaster/grant`).
    """

    asked_by: str
    occasion: str
    environment: str
    expires_at: datetime

    def sealed(self, key: str) -> str:
        """As a run tag carries it. Raise Permanent for names that contain the separator."""
        parts = (self.asked_by, self.occasion, self.environment)
        if any("|" in part for part in parts):
            raise Permanent(f"a grant cannot name {parts!r}: '|' separates its parts")
        return seal(key, "|".join((*parts, self.expires_at.astimezone(UTC).isoformat())))

    @classmethod
    def opened(cls, key: str, text: str) -> Grant | None:
        """The grant that was sealed with this key, expired or not; None for anything else."""
        content = unseal(key, text)
        parts = content.split("|") if content else []
        if len(parts) != 4:
            return None
        try:
            return cls(parts[0], parts[1], parts[2], datetime.fromisoformat(parts[3]))
        except ValueError:
            return None

    def covers(self, occasion: str, environment: str, now: datetime) -> bool:
        same = (self.occasion, self.environment) == (occasion, environment)
        return same and now < self.expires_at
