"""What goes when its owner or its namespace goes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from flowmaster_delivery.sandbox.kubernetes.controllers.loop import Key
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    EVENTS,
    KINDS,
    NAMESPACES,
    Kind,
    Object,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Resources
from flowmaster_delivery.sandbox.kubernetes.store import Change


class OwnerCollector:
    """Deletes the dependents of an object that is gone; its key is the owner's uid."""

    kinds = frozenset(KINDS) - {EVENTS}

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def concerned(self, change: Change) -> Iterable[Key]:
        if change.type != "DELETED":
            return ()
        return ((namespace_of(change.item), change.item["metadata"]["uid"]),)

    def reconcile(self, namespace: str, uid: str) -> datetime | None:
        for kind, item in self._resources.store.dependents(uid):
            if namespace_of(item) == namespace and _is_orphan(item, uid):
                self._resources.delete(kind, namespace, name_of(item))
        return None


class NamespaceCollector:
    """Empties a namespace that is to go, then lets it go."""

    kinds = frozenset(KINDS) - {EVENTS}

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def concerned(self, change: Change) -> Iterable[Key]:
        if change.kind is NAMESPACES:
            return (("", name_of(change.item)),)
        return (("", namespace_of(change.item)),) if change.type == "DELETED" else ()

    def reconcile(self, _: str, name: str) -> datetime | None:
        store = self._resources.store
        namespace = store.find(NAMESPACES, "", name)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return None
        for kind, item in self._inside(name):
            self._resources.delete(kind, name, name_of(item))
        if not self._inside(name):
            store.remove(NAMESPACES, "", name)
        return None

    def _inside(self, name: str) -> list[tuple[Kind, Object]]:
        every = self._resources.store.every()
        return [(kind, item) for kind, item in every if namespace_of(item) == name]


def _is_orphan(item: Object, gone: str) -> bool:
    owners = item["metadata"].get("ownerReferences", [])
    return bool(owners) and all(owner["uid"] == gone for owner in owners)
