"""Dagster's machinery in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from flowmaster_delivery.model.pulse import DaemonBeat, RunSeen, SensorBeat

T = TypeVar("T")


@dataclass
class FakePulse:
    """`ports.Pulse`. `fails` is raised by every call; `asked` counts them."""

    daemons_: list[DaemonBeat] = field(default_factory=list)
    sensors_: list[SensorBeat] = field(default_factory=list)
    active: list[RunSeen] = field(default_factory=list)
    failed: list[RunSeen] = field(default_factory=list)
    fails: Exception | None = None
    asked: int = 0
    before: Callable[[], None] = lambda: None
    """What happens before each answer."""

    def daemons(self) -> tuple[DaemonBeat, ...]:
        return self._answered(self.daemons_)

    def sensors(self) -> tuple[SensorBeat, ...]:
        return self._answered(self.sensors_)

    def active_runs(self) -> tuple[RunSeen, ...]:
        return self._answered(self.active)

    def failed_runs(self, since: datetime) -> tuple[RunSeen, ...]:
        return self._answered([run for run in self.failed if run.since >= since])

    def _answered(self, answer: list[T]) -> tuple[T, ...]:
        self.asked += 1
        self.before()
        if self.fails:
            raise self.fails
        return tuple(answer)
