"""The watch of one environment by a process of its own, for as long as the process lives.

Of several such processes one looks and the others stand by: that is what the lease is for. It saves
double work and double news and is not what keeps two from harm: the lease and the fencing token of
each service do that. So a lease that cannot be had since nobody answers keeps nobody from looking.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from flowmaster_delivery.flows.goal import Clock
from flowmaster_delivery.flows.leasing import LEASE_SECONDS
from flowmaster_delivery.flows.watch.watch import Watch
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import DeliveryError, Refused, Superseded
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.rollout import watch_lease
from flowmaster_delivery.ports import Lease, Ports
from flowmaster_delivery.ports.pulse import Heartbeat

LOG = logging.getLogger(__name__)
TICK = 1.0
"""Seconds between two questions whether it is time for a look; what a SIGTERM waits for at most."""
RENEW_EVERY = LEASE_SECONDS / 4
STANDING_BY = 2.0
"""Seconds between two questions whether whoever looks has gone."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One turn of the vigil: a look that was made or failed, or standing by."""

    environment: str
    began: datetime
    ended: datetime
    looking: bool
    """False while another process looks."""
    trouble: str = ""
    """Why nothing was seen or recorded; empty where the look was made."""
    said: tuple[str, ...] = ()
    recorded: int = 0
    states: Mapping[str, HealthState] = field(default_factory=dict)


@dataclass(slots=True)
class Vigil:
    """`a_watch` makes a watch that remembers nothing: what another process saw is on record only.

    `heartbeat` and `told` hear of each turn. `monotonic` is in seconds.
    """

    environment: Environment
    ports: Ports
    holder: str
    now: Clock
    monotonic: Callable[[], float]
    a_watch: Callable[[str], Watch]
    heartbeat: Heartbeat
    told: Callable[[Looked], None] = lambda _: None
    _watch: Watch | None = None
    _lease: Lease | None = None
    _standing_by: bool = False
    _ask_again: float = float("-inf")
    _next: float = float("-inf")

    @property
    def name(self) -> str:
        return self.environment.name

    def keep(self, stop: threading.Event) -> None:
        """Until it is told to stop; nothing that fails ends it before. Gives the lease up."""
        while not stop.is_set():
            self.turn()
            stop.wait(TICK)
        self._give_up()

    def turn(self) -> None:
        """Look, where it is time to and no other process does."""
        now, every = self.monotonic(), self.environment.health.look_every.total_seconds()
        if now >= self._ask_again and not self._may_look(now):
            self._watch = None
            with self.heartbeat.during(self.name, every):
                self._tell(Looked(self.name, self.now(), self.now(), looking=False))
        if self._watch is None or now < self._next:
            return
        self._next = now + every
        with self.heartbeat.during(self.name, every) as turn:
            looked = self._look(self._watch)
            turn.trouble = looked.trouble
            self._tell(looked)

    def _look(self, watch: Watch) -> Looked:
        name, began = self.name, self.now()
        try:
            recorded, said = watch.look(self.ports, began)
            sight = watch.sight(name)
        except Exception as error:
            # Whatever it was, the next look may go through.
            LOG.exception("%s: the look failed", name)
            return Looked(name, began, self.now(), True, f"{type(error).__name__}: {error}")
        for words in said:
            LOG.warning("%s: %s", name, words)
        return Looked(
            name, began, self.now(), True, sight.trouble, tuple(said), recorded, sight.states
        )

    def _tell(self, looked: Looked) -> None:
        """Whoever listens keeps no look from being made."""
        try:
            self.told(looked)
        except Exception:
            LOG.exception("%s: what was seen could not be told", looked.environment)

    def _may_look(self, now: float) -> bool:
        """By the lease, which is taken or renewed. Without an answer it stays as it was, and the
        first turn looks; whoever begins to look begins with a new watch."""
        self._ask_again = now + RENEW_EVERY
        try:
            self._lease = self._taken()
        except Refused as refused:
            if not self._standing_by:
                LOG.info("%s: standing by while another process looks (%s)", self.name, refused)
            self._lease, self._standing_by = None, True
            self._ask_again = now + STANDING_BY
        except DeliveryError as error:
            LOG.warning("%s: the lease of the watch is not held: %s", self.name, error)
        except Exception:
            # Not being able to hold the lease is no reason to be blind, whatever it is.
            LOG.exception("%s: the lease of the watch is not held", self.name)
        else:
            self._standing_by = False
        if not self._standing_by and self._watch is None:
            LOG.info("%s: looking, every %s", self.name, self.environment.health.look_every)
            self._watch, self._next = self.a_watch(self.name), now
        return not self._standing_by

    def _taken(self) -> Lease:
        cluster = self.ports.cluster(self.environment)
        if self._lease is not None:
            with suppress(Superseded):
                cluster.renew(self._lease, LEASE_SECONDS)
                return self._lease
            self._lease = None
        name = watch_lease(self.name)
        return cluster.acquire(name, self.holder, preempt=False, ttl=LEASE_SECONDS)

    def _give_up(self) -> None:
        """The next process need not wait for it to expire."""
        if self._lease is not None:
            with suppress(DeliveryError):
                self.ports.cluster(self.environment).release(self._lease)
