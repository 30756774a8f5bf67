"""What a webhook says is a hint: which ref of which repository to look at, in the background.

The queue is bounded, and two hints of the same ref that wait are one look. A hint that gets lost
costs time only: the intake sensor finds the same by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import DeliveryError

LOG = logging.getLogger(__name__)
CAPACITY = 1_000
WORKERS = 2
STUCK = 900.0
"""Seconds after which a look is stuck and not slow: its calls have time limits, and it is tried
three times."""
UNFINISHED = ("created", "waiting_for_resource", "preparing", "pending")
"""States of a pipeline of which no job can have passed yet."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Where to look. `ref` is full: `refs/heads/develop`, `refs/tags/v1.2.3`."""

    repository: str
    ref: str


def hint_of(payload: Mapping[str, Any], catalog: Catalog) -> Hint | None:
    """The hint in a webhook's payload; None where it says nothing that concerns us."""
    project = _text(payload, "project", "path_with_namespace")
    named = [r.name for r in catalog.repositories.values() if r.project == project]
    ref = _ref(payload)
    return Hint(named[0], ref) if named and ref else None


def _ref(payload: Mapping[str, Any]) -> str | None:
    match payload.get("object_kind"):
        case "push" | "tag_push":
            ref = _text(payload, "ref")
            return ref if ref and ref.startswith(("refs/heads/", "refs/tags/")) else None
        case "pipeline":
            return _pipeline_ref(payload)
        case "merge_request":
            branch = _text(payload, "object_attributes", "target_branch")
            merged = _text(payload, "object_attributes", "action") == "merge"
            return f"refs/heads/{branch}" if branch and merged else None
        case _:
            return None


def _pipeline_ref(payload: Mapping[str, Any]) -> str | None:
    name = _text(payload, "object_attributes", "ref")
    if not name or _text(payload, "object_attributes", "status") in UNFINISHED:
        return None
    attributes = payload["object_attributes"]
    return f"refs/tags/{name}" if attributes.get("tag") is True else f"refs/heads/{name}"


def _text(payload: Mapping[str, Any], *path: str) -> str | None:
    value: Any = payload
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


class Hints:
    """A bounded queue of hints and the threads that look into them."""

    def __init__(
        self, look: Callable[[Hint], None], *, workers: int = WORKERS, capacity: int = CAPACITY
    ) -> None:
        self._look, self.capacity = look, capacity
        self._waiting: OrderedDict[Hint, None] = OrderedDict()
        self._busy: dict[Hint, float] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"hints-{n}", daemon=True)
            for n in range(workers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Begin nothing more; wait up to `timeout` seconds for each look that is under way."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout)

    def offer(self, hint: Hint) -> bool:
        """Take a hint; False where the queue is full. One that waits already is the same one."""
        with self._changed:
            if hint not in self._waiting and len(self._waiting) >= self.capacity:
                return False
            self._waiting[hint] = None
            self._changed.notify()
            return True

    def wait_until_idle(self, timeout: float) -> bool:
        """Whether all that was offered has been looked into, within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._waiting)

    def troubles(self, now: float) -> tuple[str, ...]:
        """Why hints are not looked into any more; nothing where they are. `now` is monotonic."""
        with self._changed:
            dead = [thread.name for thread in self._threads if not thread.is_alive()]
            stuck = [(h, now - at) for h, at in self._busy.items() if now - at > STUCK]
            if self._stopped:
                return ()
        return (
            *(f"thread {name} has ended" for name in dead),
            *(f"looking at {h.ref} of {h.repository} takes {s:.0f} s" for h, s in stuck),
        )

    def _work(self) -> None:
        while (hint := self._next()) is not None:
            try:
                self._look(hint)
            except DeliveryError as error:
                LOG.warning("%s of %s: %s", hint.ref, hint.repository, error)
            except Exception:
                # A look that fails in an unforeseen way must not end the thread for the others.
                LOG.exception("looking at %s of %s failed", hint.ref, hint.repository)
            finally:
                self._done(hint)

    def _next(self) -> Hint | None:
        with self._changed:
            while not self._stopped:
                ready = next((h for h in self._waiting if h not in self._busy), None)
                if ready:
                    del self._waiting[ready]
                    self._busy[ready] = time.monotonic()
                    return ready
                self._changed.wait()
            return None

    def _done(self, hint: Hint) -> None:
        with self._changed:
            self._busy.pop(hint, None)
            self._changed.notify_all()
