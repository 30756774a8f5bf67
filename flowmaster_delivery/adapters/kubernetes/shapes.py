"""Kubernetes' JSON to nouns. A Deployment's pods are told by the names its controller gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowmaster_delivery.adapters.kubernetes.api import MANAGER, Object
from flowmaster_delivery.model.rollout import Condition, Pod, PodProblem, Workload

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
SETTING_UP = frozenset({"ContainerCreating", "PodInitializing"})
"""Waiting reasons of a container that has not begun yet: nothing is wrong."""


def workload(deployment: Object, replica_sets: Iterable[Object]) -> Workload:
    """A Deployment, with the hash of its newest template if one of the ReplicaSets has it."""
    meta, spec = deployment["metadata"], deployment["spec"]
    status = deployment.get("status") or {}
    return Workload(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=int(meta.get("generation") or 0),
        observed_generation=int(status.get("observedGeneration") or 0),
        revision=_revision(meta),
        paused=bool(spec.get("paused")),
        desired=int(spec.get("replicas", 1)),
        updated=int(status.get("updatedReplicas") or 0),
        total=int(status.get("replicas") or 0),
        available=int(status.get("availableReplicas") or 0),
        images={c["name"]: c.get("image", "") for c in _containers(spec["template"]["spec"])},
        annotations=dict(meta.get("annotations") or {}),
        template_hash=_template_hash(meta, replica_sets),
        progressing=_progressing(status),
        replica_failure=_replica_failure(status),
        image_owners=tuple(sorted(_image_owners(meta))),
    )


def owner(replica_set_or_pod: Object, kind: str) -> Mapping[str, Any] | None:
    """The owner reference of the controller, where it is of this kind."""
    for reference in replica_set_or_pod["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference.get("kind") == kind:
            return dict(reference)
    return None


def deployment_of(pod_: Object) -> str | None:
    """Name of the Deployment that a pod belongs to: its ReplicaSet's name without the hash."""
    reference = owner(pod_, "ReplicaSet")
    mark = (pod_["metadata"].get("labels") or {}).get(HASH)
    if reference is None or not mark:
        return None
    name = str(reference["name"])
    return name.removesuffix(f"-{mark}") if name.endswith(f"-{mark}") else None


def is_over(raw: Object) -> bool:
    """Whether a pod has ended for good (evicted, say): no controller counts it any more."""
    return (raw.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def pod(raw: Object, container: str | None) -> Pod:
    """A pod; `container` is the one whose image counts, the first where None or absent."""
    meta, status = raw["metadata"], raw.get("status") or {}
    return Pod(
        name=meta["name"],
        address=status.get("podIP"),
        ready=_condition(status, "Ready").get("status") == "True",
        template_hash=(meta.get("labels") or {}).get(HASH),
        digest=_digest(raw, container),
        problems=tuple(_problems(meta["name"], status)),
        terminating=bool(meta.get("deletionTimestamp")),
    )


def _containers(pod_spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from pod_spec.get("containers") or ()


def _revision(meta: Mapping[str, Any]) -> int:
    text = (meta.get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _template_hash(meta: Mapping[str, Any], replica_sets: Iterable[Object]) -> str | None:
    for candidate in replica_sets:
        reference = owner(candidate, "Deployment")
        ours = reference is not None and reference.get("uid") == meta["uid"]
        if ours and _revision(candidate["metadata"]) == _revision(meta) > 0:
            mark = (candidate["metadata"].get("labels") or {}).get(HASH)
            return str(mark) if mark else None
    return None


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = (c for c in status.get("conditions") or () if c.get("type") == kind)
    return next(found, {})


def _progressing(status: Mapping[str, Any]) -> Condition | None:
    found = _condition(status, "Progressing")
    if not found:
        return None
    return Condition(
        status=found.get("status", ""),
        reason=found.get("reason", ""),
        message=found.get("message", ""),
        updated=found.get("lastUpdateTime") or "",
    )


def _replica_failure(status: Mapping[str, Any]) -> str | None:
    found = _condition(status, "ReplicaFailure")
    if found.get("status") != "True":
        return None
    return str(found.get("message") or found.get("reason") or "pods cannot be created")


def _image_owners(meta: Mapping[str, Any]) -> set[str]:
    return {
        str(entry.get("manager"))
        for entry in meta.get("managedFields") or ()
        if entry.get("manager") != MANAGER and _owns_image(entry.get("fieldsV1") or {})
    }


def _owns_image(fields: Mapping[str, Any]) -> bool:
    template = fields.get("f:spec", {}).get("f:template", {}).get("f:spec", {})
    containers = template.get("f:containers", {})
    return any("f:image" in owned for owned in containers.values())


def _digest(raw: Object, container: str | None) -> str | None:
    """What really runs. A locally loaded image has no registry digest: then the pinned reference,
    which the node cannot have answered with anything else."""
    statuses = (raw.get("status") or {}).get("containerStatuses") or ()
    named = [s for s in statuses if s.get("name") == container] or list(statuses)[:1]
    if not named:
        return None
    digest = _after_at(named[0].get("imageID") or "")
    if digest is None and "running" in (named[0].get("state") or {}):
        pinned = {c["name"]: c.get("image", "") for c in _containers(raw["spec"])}
        digest = _after_at(pinned.get(named[0]["name"], ""))
    return digest


def _after_at(reference: str) -> str | None:
    _, at, digest = reference.rpartition("@")
    return digest if at and digest.startswith("sha256:") else None


def _problems(pod_name: str, status: Mapping[str, Any]) -> Iterator[PodProblem]:
    if status.get("reason"):
        yield PodProblem(pod_name, "", str(status["reason"]), str(status.get("message") or ""))
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        reason = str(scheduled.get("reason") or "Unschedulable")
        yield PodProblem(pod_name, "", reason, str(scheduled.get("message") or ""))
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or ():
            problem = _container_problem(pod_name, container)
            if problem:
                yield problem


def _container_problem(pod_name: str, container: Mapping[str, Any]) -> PodProblem | None:
    """What keeps a container from being ready; a completed init container is fine."""
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = state.get("terminated") or {}
    if "waiting" in state:
        reason = state["waiting"].get("reason") or ""
        message, exit_code = state["waiting"].get("message") or "", last.get("exitCode")
        if last:
            message = _with_last(message, last)
        if not reason or (reason in SETTING_UP and not last):
            return None
    elif ended and ended.get("exitCode"):
        reason, message = ended.get("reason") or "Error", ended.get("message") or ""
        exit_code = ended["exitCode"]
    elif last and not container.get("ready"):
        reason, message = last.get("reason") or "Error", _with_last("restarted", last)
        exit_code = last.get("exitCode")
    else:
        return None
    return PodProblem(
        pod_name,
        str(container.get("name", "")),
        str(reason),
        str(message),
        restarts=int(container.get("restartCount") or 0),
        exit_code=exit_code,
    )


def _with_last(message: str, last: Mapping[str, Any]) -> str:
    code, why = last.get("exitCode"), last.get("reason") or "Error"
    ended = f"it ended with exit code {code} ({why})"
    said = last.get("message")
    return "; ".join(part for part in (message, ended, said) if part)
