"""How fast one API server is asked: a token bucket, as client-go has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PER_SECOND = 40.0
AT_ONCE = 80.0
"""What Argo Rollouts uses; Kubernetes' own fairness sits behind it."""
LOOKS_PER_SECOND = 1000.0
"""Health requests that the API server only passes on to pods; few are under way at a time."""


class TokenBucket:
    """At most `at_once` calls in a burst and `per_second` after that. Thread-safe."""

    def __init__(
        self,
        per_second: float = PER_SECOND,
        at_once: float = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._clock = clock
        self._left, self._at = at_once, clock()
        self._guard = threading.Lock()

    def take(self) -> float:
        """Take one; seconds to wait before going ahead."""
        with self._guard:
            now = self._clock()
            self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
            self._at = now
            self._left -= 1
            return max(0.0, -self._left / self._per_second)
