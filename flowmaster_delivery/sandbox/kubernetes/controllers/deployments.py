"""Deployments: from a changed template, through the ReplicaSets, to all pods replaced.

Follows kubernetes pkg/controller/deployment: one scaling step at a time, the status after each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from flowmaster_delivery.sandbox.kubernetes.controllers import revisions
from flowmaster_delivery.sandbox.kubernetes.controllers.arithmetic import (
    is_rolling,
    new_size,
    old_sizes,
    proportional,
    wanted,
)
from flowmaster_delivery.sandbox.kubernetes.controllers.conditions import (
    TIMED_OUT,
    calculated,
    condition,
    has_deadline,
    is_complete,
    next_look,
    progressed,
    with_condition,
    without_condition,
)
from flowmaster_delivery.sandbox.kubernetes.controllers.loop import Key
from flowmaster_delivery.sandbox.kubernetes.controllers.recorder import Recorder
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    Object,
    controller_of,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Resources
from flowmaster_delivery.sandbox.kubernetes.store import Change

Sets = list[Object]


class DeploymentController:
    kinds = frozenset({DEPLOYMENTS, REPLICA_SETS, PODS})

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._store = resources.store
        self._recorder = Recorder(resources, "deployment-controller")

    def concerned(self, change: Change) -> Iterable[Key]:
        item, namespace = change.item, namespace_of(change.item)
        if change.kind is DEPLOYMENTS:
            return () if change.type == "DELETED" else ((namespace, name_of(item)),)
        owner = controller_of(item)
        if change.kind is PODS:  # Recreate waits until the last old pod is gone
            if change.type != "DELETED" or owner is None or owner["kind"] != "ReplicaSet":
                return ()
            rs = self._store.find(REPLICA_SETS, namespace, owner["name"])
            owner = controller_of(rs) if rs else None
        if owner is None or owner["kind"] != "Deployment":
            return ()
        return ((namespace, owner["name"]),)

    def reconcile(self, namespace: str, name: str) -> datetime | None:
        deployment = self._store.find(DEPLOYMENTS, namespace, name)
        if deployment is None or "deletionTimestamp" in deployment["metadata"]:
            return None
        deployment = self._note_pause(deployment)
        sets = revisions.owned(self._store, deployment)
        new, old = revisions.split(deployment, sets)
        if deployment["spec"].get("paused") or self._is_scaled(deployment, [*old, *_one(new)]):
            return self._scale(deployment, new, old)
        if is_rolling(deployment):
            return self._roll(deployment, new, old)
        return self._recreate(deployment, new, old)

    def _roll(self, deployment: Object, new: Object | None, old: Sets) -> datetime | None:
        deployment, new, old = self._current_set(deployment, new, old)
        every = [*old, new]
        size = new_size(deployment, new, every)
        if size != new["spec"]["replicas"]:
            new = self._resize(deployment, new, size)
            return self._write_status(deployment, new, old)
        sizes = old_sizes(deployment, new, [rs for rs in old if rs["spec"]["replicas"]])
        if sizes:
            old = self._resize_all(deployment, old, sizes)
            return self._write_status(deployment, new, old)
        return self._finish(deployment, new, old)

    def _recreate(self, deployment: Object, new: Object | None, old: Sets) -> datetime | None:
        active = {name_of(rs): 0 for rs in old if rs["spec"]["replicas"]}
        if active:
            old = self._resize_all(deployment, old, active)
            return self._write_status(deployment, new, old)
        if self._has_pods(old):
            return self._write_status(deployment, new, old)
        deployment, new, old = self._current_set(deployment, new, old)
        size = deployment["spec"]["replicas"]
        if new["spec"]["replicas"] != size:
            new = self._resize(deployment, new, size)
        return self._finish(deployment, new, old)

    def _finish(self, deployment: Object, new: Object, old: Sets) -> datetime | None:
        if is_complete(deployment, deployment.get("status", {})):
            self._forget(deployment, old)
        return self._write_status(deployment, new, old)

    def _scale(self, deployment: Object, new: Object | None, old: Sets) -> datetime | None:
        """Sizes only: the Deployment is paused, or somebody changed its number of pods."""
        every = [*old, *_one(new)]
        sizes = _scaled_sizes(deployment, new, old)
        scaled = self._resize_all(deployment, every, sizes)
        if deployment["spec"].get("paused"):
            self._forget(deployment, old)
        new = next((rs for rs in scaled if new and name_of(rs) == name_of(new)), None)
        status = calculated(deployment, scaled, new, self._resources.clock())
        return self._store_status(deployment, status)

    def _is_scaled(self, deployment: Object, every: Sets) -> bool:
        replicas = str(deployment["spec"]["replicas"])
        noted = (
            revisions.annotations_of(rs).get(revisions.DESIRED)
            for rs in every
            if rs["spec"]["replicas"]
        )
        return any(note is not None and note != replicas for note in noted)

    def _current_set(
        self, deployment: Object, new: Object | None, old: Sets
    ) -> tuple[Object, Object, Sets]:
        """The ReplicaSet of the present template, made if need be, with its revision noted."""
        status, now = deployment.get("status", {}), self._resources.clock()
        if new is None:
            new, deployment = self._create_set(deployment, old)
            reason, words = "NewReplicaSetCreated", f'Created new replica set "{name_of(new)}"'
            status = with_condition(
                deployment.get("status", {}), "Progressing", "True", reason, words, now
            )
        else:
            new = self._resources.update(REPLICA_SETS, revisions.annotated(deployment, new, old))
            if condition(status, "Progressing") is None:
                reason, words = "FoundNewReplicaSet", f'Found new replica set "{name_of(new)}"'
                status = with_condition(status, "Progressing", "True", reason, words, now)
        if not has_deadline(deployment):
            status = without_condition(status, "Progressing")
        annotations = revisions.annotations_of(deployment)
        annotations[revisions.REVISION] = str(revisions.revision_of(new))
        metadata = {**deployment["metadata"], "annotations": annotations}
        deployment = {**deployment, "metadata": metadata, "status": status}
        return self._resources.update_status(DEPLOYMENTS, deployment), new, old

    def _create_set(self, deployment: Object, old: Sets) -> tuple[Object, Object]:
        new = revisions.annotated(deployment, revisions.fresh(deployment), old)
        while self._store.find(REPLICA_SETS, namespace_of(new), name_of(new)):
            status = deployment.get("status", {})
            status = {**status, "collisionCount": status.get("collisionCount", 0) + 1}
            deployment = {**deployment, "status": status}
            new = revisions.annotated(deployment, revisions.fresh(deployment), old)
        new["status"] = {}
        size = new_size(deployment, new, [*old, new])
        created = self._resources.create(REPLICA_SETS, revisions.sized(deployment, new, size))
        if size:
            self._say_scaled(deployment, created, 0, size)
        return created, deployment

    def _resize_all(self, deployment: Object, sets: Sets, sizes: dict[str, int]) -> Sets:
        return [
            self._resize(deployment, rs, sizes[name_of(rs)]) if name_of(rs) in sizes else rs
            for rs in sets
        ]

    def _resize(self, deployment: Object, rs: Object, size: int) -> Object:
        before = rs["spec"]["replicas"]
        updated = self._resources.update(REPLICA_SETS, revisions.sized(deployment, rs, size))
        if before != size:
            self._say_scaled(deployment, rs, before, size)
        return updated

    def _say_scaled(self, deployment: Object, rs: Object, before: int, size: int) -> None:
        way = "up" if size > before else "down"
        words = f"Scaled {way} replica set {name_of(rs)} from {before} to {size}"
        self._recorder.say(deployment, "ScalingReplicaSet", words)

    def _forget(self, deployment: Object, old: Sets) -> None:
        for rs in revisions.to_forget(deployment, old):
            self._store.remove(REPLICA_SETS, namespace_of(rs), name_of(rs))

    def _has_pods(self, sets: Sets) -> bool:
        return any(self._store.controlled(PODS, rs) for rs in sets)

    def _note_pause(self, deployment: Object) -> Object:
        """Say in the Progressing condition that a rollout was paused or goes on."""
        status = deployment.get("status", {})
        current = condition(status, "Progressing")
        paused = bool(deployment["spec"].get("paused"))
        noted = current is not None and current["reason"] == "DeploymentPaused"
        overdue = current is not None and current["reason"] == TIMED_OUT
        if paused == noted or overdue or not has_deadline(deployment):
            return deployment
        reason = "DeploymentPaused" if paused else "DeploymentResumed"
        words = f"Deployment is {'paused' if paused else 'resumed'}"
        now = self._resources.clock()
        status = with_condition(status, "Progressing", "Unknown", reason, words, now)
        return self._resources.update_status(DEPLOYMENTS, {**deployment, "status": status})

    def _write_status(self, deployment: Object, new: Object | None, old: Sets) -> datetime | None:
        now, every = self._resources.clock(), [*old, *_one(new)]
        status = progressed(deployment, calculated(deployment, every, new, now), new, now)
        failure = next((c for rs in [*_one(new), *old] if (c := _failure(rs))), None)
        if failure:
            status = with_condition(
                status, "ReplicaFailure", "True", failure["reason"], failure["message"], now
            )
        else:
            status = without_condition(status, "ReplicaFailure")
        return self._store_status(deployment, status)

    def _store_status(self, deployment: Object, status: Object) -> datetime | None:
        stored = self._resources.update_status(DEPLOYMENTS, {**deployment, "status": status})
        return next_look(stored, stored["status"], self._resources.clock())


def _one(item: Object | None) -> Sets:
    return [] if item is None else [item]


def _failure(rs: Object) -> Object | None:
    return condition(rs["status"], "ReplicaFailure")


def _scaled_sizes(deployment: Object, new: Object | None, old: Sequence[Object]) -> dict[str, int]:
    replicas = deployment["spec"]["replicas"]
    every = [*old, *_one(new)]
    active = [rs for rs in every if rs["spec"]["replicas"]]
    if len(active) <= 1:
        only = active[0] if active else (new or (old[-1] if old else None))
        return {name_of(only): replicas} if only else {}
    if new and new["spec"]["replicas"] == new["status"].get("availableReplicas", 0) == replicas:
        return {name_of(rs): 0 for rs in old if rs["spec"]["replicas"]}
    if is_rolling(deployment) and wanted(active):
        return proportional(deployment, active)
    return {}
