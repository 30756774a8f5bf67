"""The secrets that this process has read. One for the process: it says nothing that any part of it
knows to be a secret."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from flowmaster_delivery.redaction.forms import forms_of, without, without_shapes
from flowmaster_delivery.redaction.guard import guard_process

KEPT = 3
"""Values of one secret that are remembered: what was renewed may still be under way."""


class Known:
    """Secrets by name. Thread-safe: `forms` is replaced as a whole and read without a lock."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._values: dict[str, deque[str]] = {}
        self._borrowed: list[str] = []
        self.forms: tuple[str, ...] = ()

    def learn(self, name: str, secret: str) -> None:
        """Remember the newest values of the secret of that name."""
        values = self._values.get(name)
        if values and secret in values:
            return
        with self._guard:
            self._values.setdefault(name, deque(maxlen=KEPT)).append(secret)
            self._renew()

    def borrow(self, secret: str) -> None:
        with self._guard:
            self._borrowed.append(secret)
            self._renew()

    def give_back(self, secret: str) -> None:
        with self._guard:
            self._borrowed.remove(secret)
            self._renew()

    def forget(self) -> None:
        with self._guard:
            self._values.clear()
            self._borrowed.clear()
            self._renew()

    def _renew(self) -> None:
        secrets = {value for values in self._values.values() for value in values}
        forms = {form for secret in secrets.union(self._borrowed) for form in forms_of(secret)}
        self.forms = tuple(sorted(forms, key=len, reverse=True))


_KNOWN = Known()


def learn(name: str, secret: str) -> None:
    """From now on nothing that this process says shows the secret; `name` tells it from others."""
    guard_process(hidden)
    _KNOWN.learn(name, secret)


@contextmanager
def meanwhile(secret: str | None) -> Iterator[None]:
    """Hide a secret of somebody else's within the block, and keep it no longer than that."""
    if secret is None:
        yield
        return
    guard_process(hidden)
    _KNOWN.borrow(secret)
    try:
        yield
    finally:
        _KNOWN.give_back(secret)


def hidden(text: str) -> str:
    """The text as it may be seen."""
    return without_shapes(without(_KNOWN.forms, text))


def reveals(text: str) -> bool:
    """Whether the text shows what must be hidden."""
    return hidden(text) != text


def hidden_within(value: object) -> object:
    """JSON as it may be seen: every text in it, in depth; names of fields stay."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, Mapping):
        return {name: hidden_within(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hidden_within(inner) for inner in value]
    return value


def forget_all() -> None:
    """Know nothing any more: for tests, each of which has secrets of its own."""
    _KNOWN.forget()
