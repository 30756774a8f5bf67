"""A process that can be killed at any of its calls to the outside, before or after the effect.

The outside lives on: only who asks it dies. Every port of such a process is wrapped, so that no
call can be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from flowmaster_delivery.ports import Ports
from tests.fakes.fake_cluster import Killed

T = TypeVar("T")
UNCOUNTED = frozenset({"now", "url"})
"""Calls that ask nobody."""


@dataclass
class Process:
    kill_at: int | None = None
    """Number of the call, counted from 0."""
    after_effect: bool = False
    calls: list[str] = field(default_factory=list)
    """Port and method of each call."""
    meanwhile: Callable[[], None] | None = None
    """What somebody else does before the call `kill_at`, where it is not to be killed there."""
    dead: bool = False

    def call(self, name: str, effect: Callable[[], T]) -> T:
        if self.dead:
            raise Killed
        there = len(self.calls) == self.kill_at
        self.dead = there and self.meanwhile is None
        self.calls.append(name)
        if there and self.meanwhile is not None:
            self.meanwhile()
        if self.dead and not self.after_effect:
            raise Killed
        result = effect()
        if self.dead:
            raise Killed
        return result


@dataclass
class _Mortal:
    port: object
    name: str
    process: Process

    def __getattr__(self, method: str) -> object:
        real = getattr(self.port, method)
        if not callable(real) or method in UNCOUNTED:
            return real

        def called(*given: object, **named: object) -> object:
            name = f"{self.name}.{method}"
            return self.process.call(name, lambda: real(*given, **named))

        return called


def mortal(ports: Ports, process: Process) -> Ports:
    """The same ports, as this process asks them."""

    def wrapped(port: T, name: str) -> T:
        return cast("T", _Mortal(port, name, process))

    def one_of(opener: Callable[..., Any], name: str) -> Callable[..., Any]:
        return lambda environment: wrapped(opener(environment), name)

    return Ports(
        forge=wrapped(ports.forge, "forge"),
        registry=wrapped(ports.registry, "registry"),
        cluster=one_of(ports.cluster, "cluster"),
        probe=wrapped(ports.probe, "probe"),
        history=wrapped(ports.history, "history"),
        notifier=wrapped(ports.notifier, "notifier"),
        metrics=one_of(ports.metrics, "metrics"),
    )
