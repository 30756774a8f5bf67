"""Examining Dagster's daemon from within its own process, so that a probe need only read a file.

A probe that asked the database would load Dagster each time, and could not tell a daemon that is
stuck from a database that is away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.flows.goal import Clock
from flowmaster_delivery.policy.liveness import (
    LOOPS,
    TICKS,
    daemon_is_not_ready,
    daemon_is_stuck,
)
from flowmaster_delivery.ports.pulse import Heartbeat, Pulse

LOG = logging.getLogger(__name__)
EVERY = 15.0
"""Seconds between two examinations."""


@dataclass(slots=True)
class Examination:
    """`expected`: names of the sensors that this installation has; `started`: when the daemon
    was."""

    pulse: Pulse
    heartbeat: Heartbeat
    expected: Sequence[str]
    started: datetime
    now: Clock
    _reachable_since: datetime | None = None

    def keep(self, stop: threading.Event) -> None:
        """Until it is told to stop."""
        while not stop.is_set():
            self.turn()
            stop.wait(EVERY)

    def turn(self) -> None:
        """Two beats: that its loops go round, for its life; that its sensors tick, to be ready."""
        with (
            self.heartbeat.during(LOOPS, EVERY) as loops,
            self.heartbeat.during(TICKS, EVERY) as ticks,
        ):
            try:
                daemons, sensors = self.pulse.daemons(), self.pulse.sensors()
            except Exception as error:  # noqa: BLE001  # the daemon goes on without it
                # Not seeing the loops says nothing of them, whatever is in the way.
                LOG.warning("the daemon cannot be examined: %s", error)
                self._reachable_since, ticks.trouble = None, str(error)
                return
            now = self.now()
            self._reachable_since = self._reachable_since or now
            loops.trouble = "; ".join(daemon_is_stuck(daemons, self._reachable_since, now))
            reasons = daemon_is_not_ready(daemons, sensors, self.expected, now, self.started)
            ticks.trouble = "; ".join(reasons)
