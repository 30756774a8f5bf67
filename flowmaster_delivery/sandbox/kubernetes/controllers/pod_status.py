"""The status of a pod: conditions, phase and container statuses, from how its containers look."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from flowmaster_delivery.sandbox.kubernetes.controllers.conditions import condition
from flowmaster_delivery.sandbox.kubernetes.controllers.fates import Fate, Look
from flowmaster_delivery.sandbox.kubernetes.kinds import Object
from flowmaster_delivery.sandbox.kubernetes.resources import timestamp


def unscheduled_status(pod: Object, message: str, now: datetime) -> Object:
    refused = _condition(pod, "PodScheduled", "False", now, "Unschedulable", message)
    return {**pod["status"], "phase": "Pending", "conditions": [refused]}


def pod_status(
    pod: Object, fates: Mapping[str, Fate], looks: Mapping[str, Look], address: str, now: datetime
) -> Object:
    """The whole status of a pod that has a node."""
    phase = _phase(looks)
    status = {
        **pod["status"],
        "phase": phase,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": pod["status"].get("startTime", timestamp(now)),
        "conditions": _conditions(pod, looks, phase, now),
        "containerStatuses": [
            _container(pod, container, fates[container["name"]], looks[container["name"]])
            for container in pod["spec"]["containers"]
        ],
    }
    if init := pod["spec"].get("initContainers"):
        status["initContainerStatuses"] = [_finished(pod, container) for container in init]
    return status


def _phase(looks: Mapping[str, Look]) -> str:
    states = [seen.state for seen in looks.values()]
    if all("terminated" in state for state in states):
        failed = any(state["terminated"]["exitCode"] for state in states)
        return "Failed" if failed else "Succeeded"
    never_ran = any("waiting" in s.state and s.last_state is None for s in looks.values())
    return "Pending" if never_ran else "Running"


def _conditions(pod: Object, looks: Mapping[str, Look], phase: str, now: datetime) -> list[Object]:
    reason = message = ""
    unready = [name for name, seen in looks.items() if not seen.ready]
    if phase == "Succeeded":
        reason = "PodCompleted"
    elif unready:
        reason = "ContainersNotReady"
        message = f"containers with unready status: [{' '.join(unready)}]"
    value = "False" if unready else "True"
    initialized = "PodCompleted" if phase == "Succeeded" else ""
    return [
        _condition(pod, "Initialized", "True", now, initialized),
        _condition(pod, "Ready", value, now, reason, message),
        _condition(pod, "ContainersReady", value, now, reason, message),
        _condition(pod, "PodScheduled", "True", now),
    ]


def _condition(
    pod: Object, kind: str, value: str, now: datetime, reason: str = "", message: str = ""
) -> Object:
    current = condition(pod["status"], kind)
    since = timestamp(now)
    if current and current["status"] == value:
        since = current["lastTransitionTime"]
    made = {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": since}
    made |= {k: v for k, v in (("reason", reason), ("message", message)) if v}
    return made


def _container(pod: Object, container: Object, fate: Fate, seen: Look) -> Object:
    has_run = seen.started or seen.last_state is not None or "terminated" in seen.state
    status = {
        "name": container["name"],
        "image": container["image"],
        "imageID": image_id(container["image"], fate.digest) if fate.digest and has_run else "",
        "state": seen.state,
        "lastState": seen.last_state or {},
        "ready": seen.ready,
        "restartCount": seen.restarts,
        "started": seen.started,
    }
    if has_run:
        status["containerID"] = container_id(pod, container["name"], seen.restarts)
    return status


def _finished(pod: Object, container: Object) -> Object:
    since = pod["metadata"]["creationTimestamp"]
    done = {"exitCode": 0, "reason": "Completed", "startedAt": since, "finishedAt": since}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "containerID": container_id(pod, container["name"], 0),
        "state": {"terminated": done},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "started": False,
    }


def image_id(reference: str, digest: str) -> str:
    """`repository@digest`, as containerd reports what really runs."""
    repository = reference.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}@{digest}"


def container_id(pod: Object, container: str, restarts: int) -> str:
    """A made-up id that changes with each restart."""
    text = f"{pod['metadata']['uid']}/{container}/{restarts}"
    return "containerd://" + hashlib.sha256(text.encode()).hexdigest()
