"""A heartbeat that remembers each turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flowmaster_delivery.model.pulse import Turn


@dataclass
class FakeHeartbeat:
    """`ports.Heartbeat`; the newest turn last."""

    turns: list[tuple[str, Turn]] = field(default_factory=list)
    every: float | None = None

    @contextmanager
    def during(self, name: str, every: float | None = None) -> Iterator[Turn]:
        turn = Turn()
        self.every = every
        yield turn
        self.turns.append((name, turn))
