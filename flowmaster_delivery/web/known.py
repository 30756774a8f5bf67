"""Tokens that were proven a moment ago, and addresses from which nobody could prove one.

Of a token only a keyed hash is kept, whose key dies with the process. Times are seconds of any
clock that goes forward.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field

FRESH = 60.0
"""Seconds for which reads believe what GitLab said of a token; what changes something asks anew."""
TRUSTED = 3600.0
"""Seconds for which a token that was proven is not held up by who fails from the same address."""
FAILURES = 20
"""Tries that may fail from one address within WINDOW seconds."""
WINDOW = 60.0
CAPACITY = 10_000
"""Tokens, and addresses, that are remembered; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class _Proof:
    username: str
    at: float


@dataclass(slots=True)
class Known:
    """Who was known by which token. Safe for threads."""

    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _proofs: OrderedDict[bytes, _Proof] = field(default_factory=OrderedDict, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, token: str, username: str, now: float) -> None:
        with self._guard:
            hashed = self._hashed(token)
            self._proofs[hashed] = _Proof(username, now)
            self._proofs.move_to_end(hashed)
            while len(self._proofs) > CAPACITY:
                self._proofs.popitem(last=False)

    def forget(self, token: str) -> None:
        """GitLab does not know it any more."""
        with self._guard:
            self._proofs.pop(self._hashed(token), None)

    def reader(self, token: str, now: float) -> str | None:
        """Whose token it was within the last minute."""
        found = self._found(token)
        return found.username if found and now - found.at < FRESH else None

    def trusts(self, token: str, now: float) -> bool:
        """Whether it was somebody's within the last hour."""
        found = self._found(token)
        return found is not None and now - found.at < TRUSTED

    def _found(self, token: str) -> _Proof | None:
        with self._guard:
            return self._proofs.get(self._hashed(token))

    def _hashed(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), hashlib.sha256)


@dataclass(slots=True)
class Failures:
    """How often nobody could be proven, by address. Safe for threads."""

    _at: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, address: str, now: float) -> float | None:
        """Count a try as failed until it succeeds; the seconds to wait where there were too many.

        Counted before GitLab is asked: many at once are as many as one after the other.
        """
        with self._guard:
            tries = self._at.setdefault(address, deque())
            self._at.move_to_end(address)
            while tries and now - tries[0] >= WINDOW:
                tries.popleft()
            while len(self._at) > CAPACITY:
                self._at.popitem(last=False)
            if len(tries) >= FAILURES:
                return WINDOW - (now - tries[0])
            tries.append(now)
            return None

    def succeeded(self, address: str) -> None:
        """The last try was none: it proved somebody."""
        with self._guard:
            tries = self._at.get(address)
            if tries:
                tries.pop()
