"""What the server works with, handed to every handler: one value instead of globals."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.ports import Launcher, Ports
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.web.hints import Hints
from flowmaster_delivery.web.known import Failures, Known
from flowmaster_delivery.web.repeats import Repeats
from flowmaster_delivery.web.signature import Secrets
from flowmaster_delivery.web.strangers import Strangers


@dataclass(frozen=True, slots=True)
class Office:
    """Everything a handler may need; `clock` answers timezone-aware UTC."""

    settings: Settings
    catalog: Catalog
    ports: Ports
    launcher: Launcher
    clock: Callable[[], datetime]
    hints: Hints
    repeats: Repeats
    webhook_secrets: Secrets
    webhooks: Counter[int] = field(default_factory=Counter)
    """How many webhooks got which answer, by its status."""
    known: Known = field(default_factory=Known)
    failures: Failures = field(default_factory=Failures)
    strangers: Strangers = field(default_factory=Strangers)
    one_promotion_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    one_decision_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    """About incidents."""
    long_answers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Of those so many are made at a time: who asks for a year of records keeps no thread from
    others."""


def office_of(request: Request) -> Office:
    """For what a request wants done: with its records and runs on the audit trail."""
    attempt = getattr(request.state, "attempt", None)
    office: Office = attempt.working() if attempt else request.app.state.office
    return office
