"""Watches: changes from a resource version on, as one selector sees them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from flowmaster_delivery.sandbox.kubernetes.kinds import Kind, Object, namespace_of
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError
from flowmaster_delivery.sandbox.kubernetes.store import Change, Store

BOOKMARK_EVERY = 30.0
"""Seconds between bookmarks for those who allow them."""

LONGEST = 1_800.0
"""Seconds after which the server ends a watch by itself."""

MOST_WAITING = 10_000
"""Events that may wait for a client that reads slowly, before it is told to list again."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a list or watch asks for; `matches` joins label and field selectors."""

    kind: Kind
    namespace: str
    matches: Callable[[Object], bool]

    def concerns(self, change: Change) -> bool:
        if change.kind != self.kind:
            return False
        return not self.namespace or namespace_of(change.item) == self.namespace

    def seen(self, change: Change) -> tuple[str, Object] | None:
        """The change as this question sees it: what no longer matches was deleted for it."""
        if not self.concerns(change):
            return None
        before = change.previous is not None and self.matches(change.previous)
        after = change.type != "DELETED" and self.matches(change.item)
        if before and after:
            return "MODIFIED", change.item
        if after:
            return "ADDED", change.item
        if not before:
            return None
        version = str(change.version)
        last = change.previous if change.previous is not None else change.item
        return "DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": version}}


class Watches:
    """All open watches of the server; they end when it closes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closed = False
        self._open: set[asyncio.Event] = set()

    def close(self) -> None:
        """End every watch, as a server that goes down does."""
        self._closed = True
        for awake in self._open:
            awake.set()

    async def events(
        self, question: Question, version: str, seconds: float | None, *, bookmarks: bool
    ) -> AsyncIterator[tuple[str, Object]]:
        """Event types and objects. A version that is too old gives one ERROR (410) and the end."""
        try:
            waiting = deque(self._first(question, version))
        except ApiError as error:
            yield "ERROR", error.status
            return
        awake = asyncio.Event()
        end = asyncio.get_running_loop().time() + min(seconds or LONGEST, LONGEST)

        def hear(change: Change) -> None:
            if (event := question.seen(change)) is not None:
                waiting.append(event)
                awake.set()

        stop = self._store.subscribe(hear)
        self._open.add(awake)
        try:
            async for event in self._deliver(question, waiting, awake, end, bookmarks=bookmarks):
                yield event
        finally:
            stop()
            self._open.discard(awake)

    async def _deliver(
        self,
        question: Question,
        waiting: deque[tuple[str, Object]],
        awake: asyncio.Event,
        end: float,
        *,
        bookmarks: bool,
    ) -> AsyncIterator[tuple[str, Object]]:
        loop = asyncio.get_running_loop()
        while not self._closed:
            if len(waiting) > MOST_WAITING:
                return
            while waiting:
                yield waiting.popleft()
            awake.clear()
            left = end - loop.time()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(awake.wait(), min(left, BOOKMARK_EVERY))
            except TimeoutError:
                if bookmarks:
                    yield "BOOKMARK", _bookmark(question.kind, self._store.version)

    def _first(self, question: Question, version: str) -> list[tuple[str, Object]]:
        if version in ("", "0"):
            present = self._store.all(question.kind, question.namespace)
            return [("ADDED", item) for item in present if question.matches(item)]
        changes = self._store.since(int(version))
        return [event for change in changes if (event := question.seen(change)) is not None]


def _bookmark(kind: Kind, version: int) -> Object:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
