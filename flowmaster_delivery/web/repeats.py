"""Which webhooks came before: a bounded memory, since GitLab may send one more than once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping

TTL = 600.0
"""Seconds for which a webhook is remembered; twice what a signature is good for."""
CAPACITY = 10_000


class Repeats:
    """Keys of the webhooks that were taken, the oldest forgotten first."""

    def __init__(self, ttl: float = TTL, capacity: int = CAPACITY) -> None:
        self._ttl, self._capacity = ttl, capacity
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, key: str, now: float) -> bool:
        """Whether the key was not seen within the time to live; remembers it. `now` in seconds."""
        with self._lock:
            self._forget_old(now)
            if key in self._seen:
                return False
            if len(self._seen) >= self._capacity:
                self._seen.popitem(last=False)
            self._seen[key] = now
            return True

    def forget(self, key: str) -> None:
        """As if it had not come: what could not be taken may be sent again."""
        with self._lock:
            self._seen.pop(key, None)

    def _forget_old(self, now: float) -> None:
        while self._seen:
            key, at = next(iter(self._seen.items()))
            if now - at < self._ttl:
                return
            del self._seen[key]


def key_of(headers: Mapping[str, str], body: bytes) -> str:
    """What stays the same when a webhook is sent again: its id, else its content."""
    named = headers.get("webhook-id") or headers.get("idempotency-key")
    return named[:200] if named else hashlib.sha256(body).hexdigest()
