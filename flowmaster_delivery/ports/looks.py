"""Looks from outside at what runs: its endpoints and its figures."""

from __future__ import annotations

from typing import Protocol

from flowmaster_delivery.model.health import ProbeResult


class Probe(Protocol):
    """HTTP looks at public addresses."""

    def get(self, url: str, timeout: float) -> ProbeResult:
        """Never raises for what the far end does: that is what it reports."""
