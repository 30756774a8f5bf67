"""Far ends that are away for a time: every call to them is Unreachable, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.ports import Ports
from tests.fakes.between import between
from tests.fakes.fake_cluster import FakeTime

T = TypeVar("T")
FAR_ENDS = ("cluster", "registry", "forge", "metrics", "history")
"""API server, registry, GitLab, Prometheus, database."""


@dataclass
class Outage:
    """`begins` names the call after whose effect they are away, port and method; at once where it
    is empty. They are back after `seconds` of the fake time."""

    names: tuple[str, ...]
    time: FakeTime
    begins: str = ""
    seconds: float = float("inf")
    until: float | None = None

    def __post_init__(self) -> None:
        if not self.begins:
            self._begin()

    def call(self, name: str, effect: Callable[[], T]) -> T:
        port = name.partition(".")[0]
        if port in self.names and self.until is not None and self.time.seconds < self.until:
            raise Unreachable(f"{port} is away")
        result = effect()
        if name == self.begins and self.until is None:
            self._begin()
        return result

    def _begin(self) -> None:
        self.until = self.time.seconds + self.seconds


def distant(ports: Ports, outage: Outage) -> Ports:
    """The same ports, some of them out of reach for a time."""
    return between(ports, outage.call)
