"""What is read at most every few seconds, and waited for no longer than whoever asks can.

A database that is away is waited for by its adapter for a minute and more: a probe or a scrape that
waited with it would be given up, and one thread each would stay behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from flowmaster_delivery.model.errors import DeliveryError, Unreachable

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Fresh(Generic[T]):
    """The answer of `read`, not older than `seconds`; one reading at a time, in its own thread.

    `what` names it where it gives no answer within `patience` seconds.
    """

    def __init__(
        self,
        read: Callable[[], T],
        what: str,
        *,
        seconds: float,
        patience: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._what, self._monotonic = read, what, monotonic
        self._seconds, self._patience = seconds, patience
        self._guard = threading.Lock()
        self._reading: Future[T] | None = None
        self._began = 0.0

    def get(self) -> T:
        """Raise what reading raised; Unreachable where it takes too long, or fails unforeseen."""
        reading = self._current()
        try:
            return reading.result(self._patience)
        except TimeoutError:
            waited = self._monotonic() - self._began
            raise Unreachable(f"{self._what} has given no answer for {waited:.0f} s") from None
        except DeliveryError:
            raise
        except Exception as error:
            LOG.exception("%s could not be read", self._what)
            raise Unreachable(f"{self._what} could not be read: {type(error).__name__}") from error

    def _current(self) -> Future[T]:
        with self._guard:
            known, now = self._reading, self._monotonic()
            if known is None or (known.done() and now - self._began >= self._seconds):
                known = self._reading = Future()
                self._began = now
                threading.Thread(
                    target=self._fill, args=[known], name=f"fresh {self._what}", daemon=True
                ).start()
            return known

    def _fill(self, reading: Future[T]) -> None:
        try:
            reading.set_result(self._read())
        except BaseException as error:  # noqa: BLE001  # handed to whoever asks
            reading.set_exception(error)


class Remembered(Generic[T]):
    """What was read last, without ever waiting for it; None before anything was."""

    def __init__(self, fresh: Fresh[T]) -> None:
        self._fresh = fresh
        self._last: T | None = None

    def __call__(self) -> T | None:
        try:
            self._last = self._fresh.get()
        except DeliveryError:
            LOG.debug("what was known of it stands", exc_info=True)
        return self._last
