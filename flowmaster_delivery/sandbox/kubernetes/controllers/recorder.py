"""Events: what controllers and the kubelet say about an object, counted where it repeats."""

from __future__ import annotations

from datetime import timedelta

from flowmaster_delivery.sandbox.kubernetes.kinds import EVENTS, Object, name_of, namespace_of
from flowmaster_delivery.sandbox.kubernetes.resources import Resources, parsed, timestamp

KEPT_FOR = timedelta(hours=1)


class Recorder:
    """Writes events of one component, for instance `deployment-controller`."""

    def __init__(self, resources: Resources, component: str) -> None:
        self._resources = resources
        self._component = component
        self._known: dict[tuple[str, str, str], tuple[str, str]] = {}

    def say(
        self, about: Object, reason: str, message: str, *, warning: bool = False, field: str = ""
    ) -> None:
        """Record an event; the same words about the same object only count up."""
        now = timestamp(self._resources.clock())
        key = (about["metadata"]["uid"], reason, message)
        store = self._resources.store
        known = store.find(EVENTS, *self._known[key]) if key in self._known else None
        if known is not None:
            store.replace(EVENTS, {**known, "count": known["count"] + 1, "lastTimestamp": now})
            return
        reference = {
            "kind": about["kind"],
            "namespace": namespace_of(about),
            "name": name_of(about),
            "uid": about["metadata"]["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": about["metadata"]["resourceVersion"],
        }
        if field:
            reference["fieldPath"] = field
        event = self._resources.create(
            EVENTS,
            {
                "metadata": {
                    "name": f"{name_of(about)}.{store.version:016x}",
                    "namespace": namespace_of(about),
                },
                "involvedObject": reference,
                "reason": reason,
                "message": message,
                "source": {"component": self._component},
                "reportingComponent": self._component,
                "reportingInstance": "",
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "type": "Warning" if warning else "Normal",
            },
        )
        self._known[key] = (namespace_of(event), name_of(event))
        self._forget()

    def _forget(self) -> None:
        """Drop this component's oldest event once its time is over."""
        key, name = next(iter(self._known.items()))
        store = self._resources.store
        oldest = store.find(EVENTS, *name)
        if oldest is None:
            del self._known[key]
        elif parsed(oldest["lastTimestamp"]) + KEPT_FOR < self._resources.clock():
            store.remove(EVENTS, *name)
            del self._known[key]
