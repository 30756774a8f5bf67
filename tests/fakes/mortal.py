"""A process that can be killed at any of its calls to the outside, before or after the effect.

The outside lives on: only who asks it dies. Every port of such a process is wrapped, so that no
call can be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flowmaster_delivery.ports import Ports
from tests.fakes.between import between
from tests.fakes.fake_cluster import Killed

T = TypeVar("T")


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


def mortal(ports: Ports, process: Process) -> Ports:
    """The same ports, as this process asks them."""
    return between(ports, process.call)
