"""ReplicaSets: the right number of pods of one template."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.kubernetes.controllers.conditions import condition
from flowmaster_delivery.sandbox.kubernetes.controllers.loop import Key
from flowmaster_delivery.sandbox.kubernetes.controllers.recorder import Recorder
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    Object,
    controller_of,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Resources, parsed, timestamp
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError
from flowmaster_delivery.sandbox.kubernetes.store import Change

RETRY = timedelta(seconds=2)
"""Until pods that could not be made are tried again."""


class ReplicaSetController:
    kinds = frozenset({REPLICA_SETS, PODS})

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._store = resources.store
        self._recorder = Recorder(resources, "replicaset-controller")

    def concerned(self, change: Change) -> Iterable[Key]:
        item = change.item
        if change.kind is REPLICA_SETS:
            return () if change.type == "DELETED" else ((namespace_of(item), name_of(item)),)
        owner = controller_of(item)
        if owner is None or owner["kind"] != "ReplicaSet":
            return ()
        return ((namespace_of(item), owner["name"]),)

    def reconcile(self, namespace: str, name: str) -> datetime | None:
        rs = self._store.find(REPLICA_SETS, namespace, name)
        if rs is None or "deletionTimestamp" in rs["metadata"]:
            return None
        pods = self._active_pods(rs)
        failure = self._create_or_delete(rs, pods)
        pods = self._active_pods(rs)
        due = self._write_status(rs, pods, failure)
        return self._resources.clock() + RETRY if failure else due

    def _active_pods(self, rs: Object) -> list[Object]:
        return [
            pod
            for pod in self._store.controlled(PODS, rs)
            if "deletionTimestamp" not in pod["metadata"]
            and pod["status"]["phase"] not in ("Succeeded", "Failed")
        ]

    def _create_or_delete(self, rs: Object, pods: list[Object]) -> str:
        """Bring the number of pods to what is wanted; what went wrong, if something did."""
        missing = rs["spec"]["replicas"] - len(pods)
        for _ in range(missing):
            try:
                self._create(rs)
            except ApiError as error:
                self._recorder.say(rs, "FailedCreate", f"Error creating: {error}", warning=True)
                return str(error)
        for pod in sorted(pods, key=_worth)[: max(0, -missing)]:
            self._resources.delete(PODS, namespace_of(pod), name_of(pod))
            self._recorder.say(rs, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
        return ""

    def _create(self, rs: Object) -> None:
        template = rs["spec"]["template"]
        self._check_account(rs, template["spec"].get("serviceAccountName", "default"))
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": name_of(rs),
            "uid": rs["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        metadata = {
            **template["metadata"],
            "generateName": f"{name_of(rs)}-",
            "namespace": namespace_of(rs),
            "ownerReferences": [owner],
        }
        pod = self._resources.create(PODS, {"metadata": metadata, "spec": template["spec"]})
        self._recorder.say(rs, "SuccessfulCreate", f"Created pod: {name_of(pod)}")

    def _check_account(self, rs: Object, account: str) -> None:
        if account == "default" or self._store.find(SERVICE_ACCOUNTS, namespace_of(rs), account):
            return
        where = f"{namespace_of(rs)}/{account}"
        raise ApiError(
            403,
            "Forbidden",
            f'pods "{name_of(rs)}-" is forbidden: error looking up service account {where}: '
            f'serviceaccount "{account}" not found',
        )

    def _write_status(self, rs: Object, pods: list[Object], failure: str) -> datetime | None:
        now, least = self._resources.clock(), rs["spec"].get("minReadySeconds", 0)
        ready = [since for pod in pods if (since := ready_since(pod)) is not None]
        waits = [since + timedelta(seconds=least) for since in ready]
        counts = {
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": len(ready),
            "availableReplicas": sum(moment <= now for moment in waits),
            "observedGeneration": rs["metadata"]["generation"],
        }
        status: Object = {"replicas": len(pods), **{k: v for k, v in counts.items() if v}}
        if failure:
            status["conditions"] = [_failed(rs, failure, now)]
        self._resources.update_status(REPLICA_SETS, {**rs, "status": status})
        return min((moment for moment in waits if moment > now), default=None)


def ready_since(pod: Object) -> datetime | None:
    """When the pod became ready; None where it is not."""
    ready = condition(pod["status"], "Ready")
    if ready is None or ready["status"] != "True":
        return None
    return parsed(ready["lastTransitionTime"])


def _worth(pod: Object) -> tuple[bool, bool, bool, int, int]:
    """Sort key: what is worth least goes first (not scheduled, pending, not ready, young)."""
    since = ready_since(pod)
    restarts = sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))
    return (
        "nodeName" in pod["spec"],
        pod["status"]["phase"] == "Running",
        since is not None,
        -restarts,
        -int(parsed(pod["metadata"]["creationTimestamp"]).timestamp()),
    )


def _failed(rs: Object, message: str, now: datetime) -> Object:
    current = condition(rs["status"], "ReplicaFailure")
    since = current["lastTransitionTime"] if current else timestamp(now)
    return {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": message,
        "lastTransitionTime": since,
    }
