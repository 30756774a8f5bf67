"""Which pods run for a workload, and behind a Service, kept up to date as the store changes.

Requests and figures ask for this all the time; going through every pod for each of them would make
a thousand services as slow as a thousand times one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.sandbox.kubernetes.controllers.conditions import condition
from flowmaster_delivery.sandbox.kubernetes.controllers.pods import workload_of
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    PODS,
    SERVICES,
    Object,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.quantities import quantity
from flowmaster_delivery.sandbox.kubernetes.resources import parsed
from flowmaster_delivery.sandbox.kubernetes.selectors import matches
from flowmaster_delivery.sandbox.kubernetes.store import Change, Store

Shares = list[tuple[str, int]]
"""Services with their weights, as one rule of a route has them."""


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A container with its limits in cores and bytes, None where it has none."""

    name: str
    cpu_limit: float | None
    memory_limit: float | None


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod whose process runs; `since` is when it became ready, or was created if it is not."""

    name: str
    image: str
    digest: str
    ready: bool
    since: datetime
    template_hash: str
    workload: str
    """The Deployment or Job that it belongs to."""
    containers: tuple[RunningContainer, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """Pods that share what `weight` says, in proportion to the other backends' weights."""

    weight: int
    pods: tuple[RunningPod, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    pod: RunningPod
    labels: Mapping[str, str]


class PodIndex:
    """Pods whose first container runs, without those that are ending."""

    def __init__(self, store: Store) -> None:
        self.version = 0
        """Another one means that an answer may have changed."""
        self._store = store
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._by_workload: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._by_label: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._routed: dict[tuple[str, str], Shares] | None = None
        store.subscribe(self._note)

    def running(self, namespace: str, workload: str) -> list[RunningPod]:
        """Pods of a Deployment or Job, by name."""
        names = self._by_workload.get((namespace, workload), ())
        return [self._entries[namespace, name].pod for name in sorted(names)]

    def backends(self, namespace: str, workload: str) -> list[Backend]:
        """Who answers requests to the service of a workload; empty where there is none.

        An HTTPRoute that leads to its Service says in which shares; else the Service of that name;
        else what the Deployment selects; else the pods of the Job.
        """
        if shares := self._routes().get((namespace, workload)):
            return [Backend(weight, tuple(self._behind(namespace, to))) for to, weight in shares]
        pods = self._behind(namespace, workload)
        if pods or self._exists(namespace, workload):
            return [Backend(1, tuple(pods))]
        return []

    def _exists(self, namespace: str, name: str) -> bool:
        return any(self._store.find(kind, namespace, name) for kind in (SERVICES, DEPLOYMENTS))

    def _behind(self, namespace: str, name: str) -> list[RunningPod]:
        service = self._store.find(SERVICES, namespace, name)
        if service and service["spec"].get("selector"):
            return self._selected(namespace, {"matchLabels": service["spec"]["selector"]})
        deployment = self._store.find(DEPLOYMENTS, namespace, name)
        if deployment:
            return self._selected(namespace, deployment["spec"]["selector"])
        return self.running(namespace, name)

    def _routes(self) -> Mapping[tuple[str, str], Shares]:
        """Each service that a route leads to, with those that share its requests."""
        if self._routed is None:
            self._routed = {}
            for route in self._store.all(HTTP_ROUTES):
                for shares in _rules(route):
                    for service, _ in shares:
                        self._routed.setdefault((namespace_of(route), service), shares)
        return self._routed

    def _selected(
        self, namespace: str, selector: Mapping[str, Mapping[str, str]]
    ) -> list[RunningPod]:
        names = sorted(self._candidates(namespace, selector.get("matchLabels", {})))
        entries = (self._entries[namespace, name] for name in names)
        return [entry.pod for entry in entries if matches(selector, entry.labels)]

    def _candidates(self, namespace: str, labels: Mapping[str, str]) -> Iterable[str]:
        """Those that have the rarest of the labels; all where none is asked for."""
        if not labels:
            return [name for space, name in self._entries if space == namespace]
        sets = (self._by_label.get((namespace, *pair), set()) for pair in labels.items())
        return min(sets, key=len)

    def _note(self, change: Change) -> None:
        if change.kind is PODS:
            self._note_pod(change)
        elif change.kind is HTTP_ROUTES:
            self._routed = None
            self.version += 1
        elif change.kind is SERVICES or (change.kind is DEPLOYMENTS and change.type != "MODIFIED"):
            self.version += 1

    def _note_pod(self, change: Change) -> None:
        key = (namespace_of(change.item), name_of(change.item))
        before = self._entries.get(key)
        after = None if change.type == "DELETED" else self._entry(change.item, before)
        if before == after:
            return
        self.version += 1
        if before is not None:
            self._forget(key, before)
        if after is not None:
            self._remember(key, after)

    def _entry(self, pod: Object, before: _Entry | None) -> _Entry | None:
        if "deletionTimestamp" in pod["metadata"] or not _runs(pod):
            return None
        workload = before.pod.workload if before else workload_of(self._store, pod)
        return _Entry(_running_pod(pod, workload), pod["metadata"].get("labels", {}))

    def _remember(self, key: tuple[str, str], entry: _Entry) -> None:
        self._entries[key] = entry
        for names in self._sets(key[0], entry):
            names.add(key[1])

    def _forget(self, key: tuple[str, str], entry: _Entry) -> None:
        del self._entries[key]
        for names in self._sets(key[0], entry):
            names.discard(key[1])

    def _sets(self, namespace: str, entry: _Entry) -> Iterator[set[str]]:
        yield self._by_workload[namespace, entry.pod.workload]
        for label, value in entry.labels.items():
            yield self._by_label[namespace, label, value]


def _rules(route: Object) -> Iterator[Shares]:
    """What each rule of a route shares between Services of its own namespace."""
    for rule in route["spec"].get("rules") or ():
        yield [
            (reference["name"], reference.get("weight", 1))
            for reference in rule.get("backendRefs") or ()
            if reference.get("kind", "Service") == "Service"
            and reference.get("namespace", namespace_of(route)) == namespace_of(route)
        ]


def _runs(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and "running" in statuses[0]["state"]


def _running_pod(pod: Object, workload: str) -> RunningPod:
    first = pod["status"]["containerStatuses"][0]
    ready = condition(pod["status"], "Ready")
    is_ready = ready is not None and ready["status"] == "True"
    since = ready["lastTransitionTime"] if ready and is_ready else pod["status"]["startTime"]
    return RunningPod(
        name=name_of(pod),
        image=first["image"],
        digest=first["imageID"].rpartition("@")[2],
        ready=is_ready,
        since=parsed(since),
        template_hash=pod["metadata"].get("labels", {}).get("pod-template-hash", ""),
        workload=workload,
        containers=tuple(_container(c) for c in pod["spec"]["containers"]),
    )


def _container(container: Object) -> RunningContainer:
    limits = container.get("resources", {}).get("limits", {})
    cpu, memory = (quantity(str(limits.get(name, ""))) for name in ("cpu", "memory"))
    return RunningContainer(container["name"], cpu, memory)
