"""Facts worth telling people, in words; who is told, and how loudly, is the notifier's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `links` are (title, address) pairs."""

    kind: str
    """A stable word: `promotion_refused`, `deployment_failed`, `rolled_back`, `tag_moved` …"""
    title: str
    text: str
    severity: Severity
    at: datetime
    service: str | None = None
    environment: str | None = None
    links: tuple[tuple[str, str], ...] = field(default=())
