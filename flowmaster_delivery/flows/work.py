"""Who changes something, and with what: handed down whole from whoever began."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.ports import History, Ports


def in_a_thread(call: Callable[[], None]) -> None:
    """Beside us, and to its end: a run's process that is done waits for what it has to tell, for as
    long as a notifier's own time limit."""
    threading.Thread(target=call, name="telling").start()


@dataclass(frozen=True, slots=True)
class Work:
    """`asked.run_id` also names the holder of leases."""

    catalog: Catalog
    ports: Ports
    asked: Asked
    pace: Pace
    reverting: frozenset[str] = frozenset()
    """Services that go back in the same run."""
    aside: Callable[[Callable[[], None]], None] = in_a_thread
    """How people are told while a rollback is on its way: it waits for no chat server."""

    @property
    def history(self) -> History:
        return self.ports.history

    def now(self) -> datetime:
        return self.pace.now()
