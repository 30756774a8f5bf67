"""Every object with its resource version, and the history that watches are answered from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from flowmaster_delivery.sandbox.kubernetes.kinds import (
    Kind,
    Object,
    controller_of,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.statuses import (
    already_exists,
    conflict,
    expired,
    not_found,
)

HISTORY = 5_000
"""Changes kept for watches that come back; who asks for older ones is told to list again."""

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `previous` is the object before it, None for a new one."""

    version: int
    type: ChangeType
    kind: Kind
    item: Object
    previous: Object | None


class Store:
    """Objects by kind, namespace and name. Everything happens at once: there is one event loop."""

    def __init__(self, history: int = HISTORY) -> None:
        self.version = 1
        self._objects: dict[Kind, dict[Key, Object]] = {}
        self._dependents: dict[str, dict[tuple[Kind, Key], None]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._forgotten = 0
        self._listeners: list[Callable[[Change], None]] = []

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects.get(kind, {}).get((namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def all(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Objects of one namespace (all of them where it is empty), by namespace and name."""
        objects = self._objects.get(kind, {})
        return [objects[key] for key in sorted(objects) if not namespace or key[0] == namespace]

    def dependents(self, uid: str) -> list[tuple[Kind, Object]]:
        """What names the object of that uid among its owners; found without a look at the rest."""
        found = self._dependents.get(uid, {})
        return [(kind, self._objects[kind][key]) for kind, key in found]

    def controlled(self, kind: Kind, controller: Object) -> list[Object]:
        """Objects of a kind that a controller made, in its namespace, by name."""
        uid, namespace = controller["metadata"]["uid"], namespace_of(controller)
        made = [
            item
            for other, item in self.dependents(uid)
            if other is kind
            and namespace_of(item) == namespace
            and (controller_of(item) or {}).get("uid") == uid
        ]
        return sorted(made, key=name_of)

    def every(self) -> Iterator[tuple[Kind, Object]]:
        """All objects of all kinds."""
        for kind, objects in self._objects.items():
            for item in list(objects.values()):
                yield kind, item

    def create(self, kind: Kind, item: Object) -> Object:
        key = (namespace_of(item), name_of(item))
        if key in self._objects.setdefault(kind, {}):
            raise already_exists(kind, key[1])
        return self._write("ADDED", kind, item, None)

    def replace(self, kind: Kind, item: Object, *, expected: str | None = None) -> Object:
        """Write over the object; `expected` is the resource version that it must still have.

        A write that changes nothing is none: the version stays, no watch hears of it.
        """
        name = name_of(item)
        previous = self.get(kind, namespace_of(item), name)
        if expected and expected != previous["metadata"]["resourceVersion"]:
            raise conflict(kind, name)
        version = previous["metadata"]["resourceVersion"]
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": version}}
        if item == previous:
            return previous
        return self._write("MODIFIED", kind, item, previous)

    def remove(self, kind: Kind, namespace: str, name: str) -> Object:
        previous = self.get(kind, namespace, name)
        return self._write("DELETED", kind, previous, previous)

    def since(self, version: int) -> list[Change]:
        """Changes after `version`; raise 410 Expired where the history begins later."""
        if version < self._forgotten:
            raise expired(version, self._forgotten)
        return [change for change in self._history if change.version > version]

    def compact(self) -> None:
        """Forget the history, as etcd does every few minutes."""
        self._forgotten = self.version
        self._history.clear()

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` on each change from now on; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _write(
        self, change_type: ChangeType, kind: Kind, item: Object, previous: Object | None
    ) -> Object:
        self.version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        key = (namespace_of(item), name_of(item))
        self._forget_owners(kind, key, previous)
        if change_type == "DELETED":
            del self._objects[kind][key]
        else:
            self._objects[kind][key] = item
            for uid in _owners(item):
                self._dependents.setdefault(uid, {})[kind, key] = None
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0].version
        change = Change(self.version, change_type, kind, item, previous)
        self._history.append(change)
        for listener in tuple(self._listeners):
            listener(change)
        return item

    def _forget_owners(self, kind: Kind, key: Key, previous: Object | None) -> None:
        for uid in _owners(previous) if previous else ():
            found = self._dependents.get(uid, {})
            found.pop((kind, key), None)
            if not found:
                self._dependents.pop(uid, None)


def _owners(item: Object) -> list[str]:
    """Uids of an object's owners. What clients write there may be of any form."""
    references = item["metadata"].get("ownerReferences")
    found = references if isinstance(references, list) else []
    uids = [owner.get("uid") for owner in found if isinstance(owner, dict)]
    return [uid for uid in uids if isinstance(uid, str)]
