"""How the story is told: numbered steps, what happened in each, where to look at it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from flowmaster_delivery.model.errors import Permanent, Transient

T = TypeVar("T")
INTERVAL = 0.5
"""Seconds between two looks at what is waited for."""


class StoryBroken(Permanent):
    """The story went otherwise than it is told."""


class Narrator:
    """Prints each step as it happens, with the seconds since the beginning."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()
        self._step = 0

    def step(self, title: str) -> None:
        self._step += 1
        heading = Text(f"\n{self._step:>2}. {title}", style="bold")
        heading.append(f"  {self.seconds:.0f} s", style="dim")
        self._print(heading)

    def say(self, words: str, link: str = "") -> None:
        self._print(Text(f"    {words}"))
        if link:
            self._print(Text(f"    → {link}", style="cyan"))

    def command(self, words: str) -> None:
        self._print(Text(f"    $ {words}", style="green"))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def _print(self, line: Text) -> None:
        self.console.print(line, soft_wrap=True)


class Aside(Narrator):
    """Keeps what happens beside the story until it is told."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self._kept: list[Text] = []

    def tell(self, console: Console) -> None:
        for line in self._kept:
            console.print(line, soft_wrap=True)
        self._kept.clear()

    def _print(self, line: Text) -> None:
        self._kept.append(line)


def wait_for(what: str, look: Callable[[], T | None], limit: float) -> T:
    """What `look` finds first; raise StoryBroken, saying what was waited for, after `limit` s."""
    deadline = time.monotonic() + limit
    trouble = ""
    while time.monotonic() < deadline:
        try:
            found = look()
        except Transient as error:
            trouble = f" ({error})"
        else:
            if found is not None:
                return found
        time.sleep(INTERVAL)
    raise StoryBroken(f"waited {limit:.0f} s for {what}, in vain{trouble}")


def expect(holds: bool, words: str) -> None:
    """Raise StoryBroken where what was told does not hold."""
    if not holds:
        raise StoryBroken(words)
