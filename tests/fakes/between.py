"""Ports with somebody between: every call to them goes by way of one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flowmaster_delivery.ports import Ports

T = TypeVar("T")
Call = Callable[[str, Callable[[], Any]], Any]
"""Told the port and method of a call (`cluster.set_image`) and how to carry it out."""
ASKS_NOBODY = frozenset({"now", "url"})


@dataclass
class _Between:
    port: object
    name: str
    call: Call

    def __getattr__(self, method: str) -> object:
        real = getattr(self.port, method)
        if not callable(real) or method in ASKS_NOBODY:
            return real

        def called(*given: object, **named: object) -> object:
            return self.call(f"{self.name}.{method}", lambda: real(*given, **named))

        return called


def between(ports: Ports, call: Call) -> Ports:
    """The same ports, none left out, so that no call can be forgotten."""

    def wrapped(port: T, name: str) -> T:
        return cast("T", _Between(port, name, call))

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
        audit=wrapped(ports.audit, "audit"),
    )
