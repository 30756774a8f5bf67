"""Showing that work is being done."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from flowmaster_delivery.model.pulse import Turn


class Heartbeat(Protocol):
    """How a process shows its work to whoever probes it. Never a reason for the work to fail."""

    def during(self, name: str, every: float | None = None) -> AbstractContextManager[Turn]:
        """A turn of the work of this name; one that raises has come to nothing.

        `every`: seconds between two turns, where this process keeps the pace. Safe for threads, and
        for several turns of one name at a time.
        """
