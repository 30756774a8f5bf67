"""Far ends that are away for a time: every call to them is Unreachable, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_cluster import FakeTime
from tests.fakes.mortal import UNCOUNTED

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

    def call(self, port: str, method: str, effect: Callable[[], T]) -> T:
        if port in self.names and self.until is not None and self.time.seconds < self.until:
            raise Unreachable(f"{port} is away")
        result = effect()
        if f"{port}.{method}" == self.begins and self.until is None:
            self._begin()
        return result

    def _begin(self) -> None:
        self.until = self.time.seconds + self.seconds


@dataclass
class _Distant:
    port: object
    name: str
    outage: Outage

    def __getattr__(self, method: str) -> object:
        real = getattr(self.port, method)
        if not callable(real) or method in UNCOUNTED:
            return real

        def called(*given: object, **named: object) -> object:
            return self.outage.call(self.name, method, lambda: real(*given, **named))

        return called


def distant(ports: Ports, outage: Outage) -> Ports:
    """The same ports, some of them out of reach for a time."""

    def wrapped(port: T, name: str) -> T:
        return cast("T", _Distant(port, name, outage))

    def one_of(opener: Callable[..., Any], name: str) -> Callable[..., Any]:
        return lambda environment: wrapped(opener(environment), name)

    return Ports(
        forge=wrapped(ports.forge, "forge"),
        registry=wrapped(ports.registry, "registry"),
        cluster=one_of(ports.cluster, "cluster"),
        probe=ports.probe,
        history=wrapped(ports.history, "history"),
        notifier=ports.notifier,
        metrics=one_of(ports.metrics, "metrics"),
    )
