"""Reads shared by the threads that ask at the same moment.

Twenty-nine services that roll out side by side would each ask for their own Deployment, ReplicaSets
and pods. Whoever asks while a read is under way waits for the next one, which starts after all of
them asked: nobody gets an answer that is older than the question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

Read = Callable[[frozenset[str]], Mapping[str, T]]


class Gathering(Generic[T]):
    """Answers questions for names, one read at a time; `read` gets all names asked for."""

    def __init__(self, read: Read[T]) -> None:
        self._read = read
        self._waiting: dict[str, Future[T | None]] = {}
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def get(self, name: str) -> T | None:
        """The value of a name, None where the read did not find it; what the read raises."""
        with self._guard:
            future = self._waiting.setdefault(name, Future())
        with self._turn:
            if not future.done():
                self._answer_all()
        return future.result()

    def _answer_all(self) -> None:
        with self._guard:
            asked, self._waiting = self._waiting, {}
        try:
            found = self._read(frozenset(asked))
        except BaseException as error:
            for future in asked.values():
                future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for name, future in asked.items():
            future.set_result(found.get(name))
