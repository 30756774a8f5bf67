"""Requests of nobody who is known: a few a minute go on the audit trail, the rest are counted.

Whoever reaches the server could else fill the trail without a name.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

PER_MINUTE = 30
MINUTE = timedelta(minutes=1)


class Strangers:
    """One for the server; thread-safe."""

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._began: datetime | None = None
        self._told = self._left_out = 0
        self._guard = threading.Lock()

    def left_out_before(self, now: datetime) -> int | None:
        """How many were left out since the last one that was told; None where this one is too."""
        with self._guard:
            if self._began is None or now - self._began >= MINUTE:
                self._began, self._told = now, 0
            if self._told >= self._per_minute:
                self._left_out += 1
                return None
            self._told += 1
            left_out, self._left_out = self._left_out, 0
            return left_out
