"""Status and conditions of a Deployment, step by step as the real controller computes them.

Faithful on purpose where that surprises: a rollout that begins anew after it timed out may keep the
old `ProgressDeadlineExceeded` for one step, together with the new `observedGeneration`.
Source: kubernetes pkg/controller/deployment/progress.go, sync.go, util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.kubernetes.controllers.arithmetic import fenceposts, wanted
from flowmaster_delivery.sandbox.kubernetes.kinds import Object, name_of
from flowmaster_delivery.sandbox.kubernetes.resources import parsed, timestamp

NO_DEADLINE = 2**31 - 1
TIMED_OUT, ALL_AVAILABLE = "ProgressDeadlineExceeded", "NewReplicaSetAvailable"
GRANULARITY = timedelta(seconds=1)
"""Timestamps carry whole seconds, so a deadline is looked at one second later."""


def condition(status: Object, kind: str) -> Object | None:
    listed: list[Object] = status.get("conditions", [])
    return next((c for c in listed if c["type"] == kind), None)


def with_condition(
    status: Object, kind: str, value: str, reason: str, message: str, now: datetime
) -> Object:
    """The status with the condition; one of equal status and reason stays as it is."""
    current = condition(status, kind)
    if current and (current["status"], current["reason"]) == (value, reason):
        return status
    return _put(status, _new(kind, value, reason, message, now), current)


def without_condition(status: Object, kind: str) -> Object:
    kept = [c for c in status.get("conditions", []) if c["type"] != kind]
    return {**status, "conditions": kept}


def _new(kind: str, value: str, reason: str, message: str, now: datetime) -> Object:
    return {
        "type": kind,
        "status": value,
        "lastUpdateTime": timestamp(now),
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": message,
    }


def _put(status: Object, new: Object, current: Object | None) -> Object:
    if current and current["status"] == new["status"]:
        new["lastTransitionTime"] = current["lastTransitionTime"]
    status = without_condition(status, new["type"])
    return {**status, "conditions": [*status["conditions"], new]}


def has_deadline(deployment: Object) -> bool:
    return bool(deployment["spec"].get("progressDeadlineSeconds", NO_DEADLINE) != NO_DEADLINE)


def calculated(
    deployment: Object, every: Sequence[Object], new: Object | None, now: datetime
) -> Object:
    """Counts and the Available condition; the other conditions as they were."""
    available = _sum(every, "availableReplicas")
    counts = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": _sum(every, "replicas"),
        "updatedReplicas": _sum([new] if new else [], "replicas"),
        "readyReplicas": _sum(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted(every) - available),
    }
    before = deployment.get("status", {})
    status: Object = {key: value for key, value in counts.items() if value}
    status["conditions"] = before.get("conditions", [])
    if "collisionCount" in before:
        status["collisionCount"] = before["collisionCount"]
    if available >= deployment["spec"]["replicas"] - fenceposts(deployment)[1]:
        words = "Deployment has minimum availability."
        return with_condition(status, "Available", "True", "MinimumReplicasAvailable", words, now)
    words = "Deployment does not have minimum availability."
    return with_condition(status, "Available", "False", "MinimumReplicasUnavailable", words, now)


def _sum(sets: Sequence[Object], field: str) -> int:
    return sum(rs["status"].get(field, 0) for rs in sets)


def is_complete(deployment: Object, status: Object) -> bool:
    replicas = deployment["spec"]["replicas"]
    counts = (status.get(f, 0) for f in ("updatedReplicas", "replicas", "availableReplicas"))
    observed = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return observed and all(count == replicas for count in counts)


def progressed(deployment: Object, status: Object, new: Object | None, now: datetime) -> Object:
    """The status with its Progressing condition brought up to date."""
    if not has_deadline(deployment):
        return without_condition(status, "Progressing")
    current = condition(deployment.get("status", {}), "Progressing")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and current and current["reason"] == ALL_AVAILABLE:
        return status
    who = f'ReplicaSet "{name_of(new)}"' if new else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, status):
        words = f"{who} has successfully progressed."
        return with_condition(status, "Progressing", "True", ALL_AVAILABLE, words, now)
    if _moved(deployment.get("status", {}), status):
        words = f"{who} is progressing."
        updated = _new("Progressing", "True", "ReplicaSetUpdated", words, now)
        return _put(status, updated, current)
    if _timed_out(deployment, status, now):
        words = f"{who} has timed out progressing."
        return with_condition(status, "Progressing", "False", TIMED_OUT, words, now)
    return status


def _moved(before: Object, after: Object) -> bool:
    def old_pods(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old_pods(after) < old_pods(before) or any(
        after.get(field, 0) > before.get(field, 0) for field in grown
    )


def _timed_out(deployment: Object, status: Object, now: datetime) -> bool:
    current = condition(status, "Progressing")
    if current is None or current["reason"] == ALL_AVAILABLE:
        return False
    return current["reason"] == TIMED_OUT or _deadline(deployment, current) < now


def _deadline(deployment: Object, current: Object) -> datetime:
    seconds = deployment["spec"]["progressDeadlineSeconds"]
    return parsed(current["lastUpdateTime"]) + timedelta(seconds=seconds)


def next_look(deployment: Object, status: Object, now: datetime) -> datetime | None:
    """When to see whether the deadline has passed; None where none is running."""
    current = condition(status, "Progressing")
    if current is None or not has_deadline(deployment) or current["reason"] == TIMED_OUT:
        return None
    if is_complete(deployment, status) or deployment["spec"].get("paused"):
        return None
    return max(_deadline(deployment, current), now) + GRANULARITY
