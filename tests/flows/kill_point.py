"""Where a process is killed: at one of its calls to the outside, before or after the effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True)
class KillPoint(Generic[S]):
    story: S
    """What goes on meanwhile, with its name as its text."""
    call: int
    """Number of the call, counted from 0."""
    name: str
    """Of the call: `scale`, `history.record` …"""
    after_effect: bool

    def __str__(self) -> str:
        when = "after" if self.after_effect else "before"
        return f"{self.story}: {when} call {self.call} ({self.name})"


def around(story: S, calls: Iterable[str], wrong: str) -> Iterator[KillPoint[S]]:
    """Before and after each call of a story. Raise AssertionError where something is `wrong` with
    it although nobody was killed."""
    if wrong:
        raise AssertionError(f"{story}, killed nowhere: {wrong}")
    for call, name in enumerate(calls):
        for after_effect in (False, True):
            yield KillPoint(story, call, name, after_effect)
