"""Telling people, and starting runs for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from flowmaster_delivery.model.events import Event
from flowmaster_delivery.model.run import LaunchedRun, RunOrder


class Notifier(Protocol):
    """Tells people. Never raises: delivery does not wait for a chat server."""

    def tell(self, event: Event) -> None: ...


class Launcher(Protocol):
    """Starts runs from outside of Dagster (webhook receiver, API)."""

    def launch(self, order: RunOrder, asked_by: str) -> LaunchedRun:
        """Launch, or answer with the run that this occasion has already."""

    def find(self, occasion: str) -> LaunchedRun | None: ...

    def runs(self, tags: Mapping[str, str]) -> tuple[LaunchedRun, ...]:
        """The newest runs (up to 20) with all of these tags, newest first."""

    def run(self, run_id: str) -> LaunchedRun:
        """Raise NotFound where there is no such run."""

    def check(self) -> None:
        """Raise Unreachable unless a run could be launched: Dagster answers, and has our assets."""
