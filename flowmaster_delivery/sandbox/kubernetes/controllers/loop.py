"""The work queue: which object to look at now, which one later."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from flowmaster_delivery.sandbox.kubernetes.kinds import Kind
from flowmaster_delivery.sandbox.kubernetes.resources import Clock
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError
from flowmaster_delivery.sandbox.kubernetes.store import Change, Store

log = logging.getLogger(__name__)

TURN = 25
"""Objects looked at before requests get their turn."""

UNWORKABLE = (ApiError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What an object of odd content may lead to: it stays as it is, all others go on."""

Key = tuple[str, str]


class Controller(Protocol):
    kinds: frozenset[Kind]
    """Kinds whose changes it wants to hear of."""

    def concerned(self, change: Change) -> Iterable[Key]:
        """Namespace and name of the objects to look at after the change."""

    def reconcile(self, namespace: str, name: str) -> datetime | None:
        """One step; the moment at which to look again even if nothing changes."""


Task = tuple[int, Key]


class ControlLoop:
    """Runs the controllers, one object at a time, each at most once in the queue."""

    def __init__(self, store: Store, clock: Clock, controllers: Iterable[Controller]) -> None:
        self._clock = clock
        self._controllers = tuple(controllers)
        self._queue: dict[Task, None] = {}
        self._later: list[tuple[datetime, Task]] = []
        self._due: dict[Task, datetime] = {}
        self._awake = asyncio.Event()
        store.subscribe(self._changed)

    def enqueue(self, controller: Controller, key: Key) -> None:
        self._queue[(self._controllers.index(controller), key)] = None
        self._awake.set()

    def settle(self) -> datetime | None:
        """Work until nothing is left to do now; the moment at which something will be."""
        while self._turn():
            pass
        return self._next_due()

    async def run(self) -> None:
        """Work as long as the sandbox lives; sleeps while there is nothing to do."""
        while True:
            self._awake.clear()
            if self._turn():
                await asyncio.sleep(0)
                continue
            due = self._next_due()
            seconds = None if due is None else max(0.0, (due - self._clock()).total_seconds())
            try:
                await asyncio.wait_for(self._awake.wait(), seconds)
            except TimeoutError:
                continue

    def _changed(self, change: Change) -> None:
        for index, controller in enumerate(self._controllers):
            if change.kind in controller.kinds:
                for key in controller.concerned(change):
                    self._queue[(index, key)] = None
                    self._awake.set()

    def _turn(self) -> bool:
        """Look at some objects; False where there was none to look at."""
        self._wake_due()
        tasks = list(self._queue)[:TURN]
        for task in tasks:
            del self._queue[task]
            self._reconcile(task)
        return bool(tasks)

    def _wake_due(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            moment, task = heapq.heappop(self._later)
            if self._due.get(task) == moment:
                del self._due[task]
                self._queue[task] = None

    def _reconcile(self, task: Task) -> None:
        index, key = task
        try:
            due = self._controllers[index].reconcile(*key)
        except UNWORKABLE:
            log.exception("sandbox controller could not bring %s/%s on", *key)
            return
        self._due.pop(task, None)
        if due is not None:
            self._due[task] = due
            heapq.heappush(self._later, (due, task))

    def _next_due(self) -> datetime | None:
        while self._later and self._due.get(self._later[0][1]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None
