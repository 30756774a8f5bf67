"""Entries of the audit trail that could not be written when they were due: kept, and tried again.

In memory: a process that ends before the database is back loses them here, and its log has them
whole. Whoever runs the platform puts them on record from there.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict

from flowmaster_delivery.model.audit import Deed
from flowmaster_delivery.model.errors import DeliveryError

LOG = logging.getLogger(__name__)
KEPT = 1000
"""Of one process; older ones are left to its log."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0)
"""Seconds, for which a process that is done stays. What is left then comes with the next entry."""


def in_a_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="audit").start()


class LateEntries:
    """`write` adds an entry at the end of the trail, or raises. One instance serves all threads."""

    def __init__(
        self,
        write: Callable[[Deed], object],
        pauses: Sequence[float] = PAUSES,
        spawn: Callable[[Callable[[], None]], None] = in_a_thread,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._write, self._pauses, self._spawn, self._sleep = write, pauses, spawn, sleep
        self._kept: deque[Deed] = deque(maxlen=KEPT)
        self._guard = threading.Lock()
        self._trying = False

    def keep(self, deed: Deed, error: DeliveryError) -> None:
        """Log the entry whole and try again beside whoever goes on."""
        LOG.error("not on the audit trail yet (%s): %s", error, _told(deed))
        with self._guard:
            self._kept.append(deed)
            begins = not self._trying
            self._trying = True
        if begins:
            self._spawn(self._try_for_a_while)

    def flush(self) -> bool:
        """Write what is kept, oldest first, until one fails; whether nothing is left."""
        while True:
            with self._guard:
                if not self._kept:
                    return True
                deed = self._kept.popleft()
            try:
                self._write(deed)
            except DeliveryError:
                with self._guard:
                    self._kept.appendleft(deed)
                return False
            LOG.warning("on the audit trail now, late: %s of %s", deed.action, deed.at.isoformat())

    def _try_for_a_while(self) -> None:
        try:
            for pause in self._pauses:
                self._sleep(pause)
                if self.flush():
                    return
        finally:
            with self._guard:
                self._trying = False


def _told(deed: Deed) -> str:
    return json.dumps(asdict(deed), default=str, sort_keys=True)
