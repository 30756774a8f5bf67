"""Showing that work is being done, and seeing whether Dagster does its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from flowmaster_delivery.model.pulse import DaemonBeat, RunSeen, SensorBeat, Turn


class Heartbeat(Protocol):
    """How a process shows its work to whoever probes it. Never a reason for the work to fail."""

    def during(self, name: str, every: float | None = None) -> AbstractContextManager[Turn]:
        """A turn of the work of this name; one that raises has come to nothing.

        `every`: seconds between two turns, where this process keeps the pace. Safe for threads, and
        for several turns of one name at a time.
        """


class Pulse(Protocol):
    """Dagster's own machinery, read from its database."""

    def daemons(self) -> tuple[DaemonBeat, ...]:
        """Every loop that this installation needs."""

    def sensors(self) -> tuple[SensorBeat, ...]:
        """Every sensor that has ever been seen running, by name; old ones included."""

    def active_runs(self) -> tuple[RunSeen, ...]:
        """The runs that are not over, newest first; a thousand at most."""

    def failed_runs(self, since: datetime) -> tuple[RunSeen, ...]:
        """The runs that failed since then, newest first; a thousand at most."""
