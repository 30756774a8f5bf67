"""The history of a Deployment: its ReplicaSets, their revision numbers and template hashes.

Source: kubernetes pkg/controller/deployment/sync.go and util/deployment_util.go.
"""

from __future__ import annotations

import json
from typing import Any

from flowmaster_delivery.sandbox.kubernetes.controllers.arithmetic import fenceposts
from flowmaster_delivery.sandbox.kubernetes.kinds import (
    REPLICA_SETS,
    Object,
    name_of,
    namespace_of,
)
from flowmaster_delivery.sandbox.kubernetes.resources import ALPHABET
from flowmaster_delivery.sandbox.kubernetes.store import Store

PREFIX = "deployment.kubernetes.io/"
REVISION = PREFIX + "revision"
HISTORY = PREFIX + "revision-history"
DESIRED = PREFIX + "desired-replicas"
MOST = PREFIX + "max-replicas"
HASH = "pod-template-hash"
NOT_COPIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
)
"""Annotations of a Deployment that its ReplicaSets do not get."""


def annotations_of(item: Object) -> dict[str, str]:
    return dict(item["metadata"].get("annotations", {}))


def revision_of(item: Object) -> int:
    text = annotations_of(item).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def owned(store: Store, deployment: Object) -> list[Object]:
    """The Deployment's ReplicaSets, oldest first."""
    sets = store.controlled(REPLICA_SETS, deployment)
    return sorted(sets, key=lambda rs: (rs["metadata"]["creationTimestamp"], revision_of(rs)))


def split(deployment: Object, sets: list[Object]) -> tuple[Object | None, list[Object]]:
    """The ReplicaSet of the present template, if there is one, and all others."""
    template = deployment["spec"]["template"]
    new = next((rs for rs in sets if _bare(rs["spec"]["template"]) == _bare(template)), None)
    return new, [rs for rs in sets if rs is not new]


def _bare(template: Object) -> Object:
    labels = {k: v for k, v in template["metadata"].get("labels", {}).items() if k != HASH}
    return {**template, "metadata": {**template["metadata"], "labels": labels}}


def template_hash(template: Object, collisions: int) -> str:
    """32-bit FNV-1a of the template's JSON, written in the alphabet of generated names."""
    text = json.dumps(template, sort_keys=True) + (str(collisions) if collisions else "")
    figure = 0x811C9DC5
    for byte in text.encode():
        figure = ((figure ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(figure))


def fresh(deployment: Object) -> Object:
    """A ReplicaSet of the present template, of no pods yet."""
    spec = deployment["spec"]
    key = template_hash(spec["template"], deployment.get("status", {}).get("collisionCount", 0))
    template_metadata = dict(spec["template"]["metadata"])
    labels = {**template_metadata.get("labels", {}), HASH: key}
    selector = spec["selector"]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name_of(deployment),
        "uid": deployment["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "name": f"{name_of(deployment)}-{key}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": 0,
            **({"minReadySeconds": seconds} if (seconds := spec.get("minReadySeconds")) else {}),
            "selector": {
                **selector,
                "matchLabels": {**selector.get("matchLabels", {}), HASH: key},
            },
            "template": {
                **spec["template"],
                "metadata": {**template_metadata, "labels": labels},
            },
        },
    }


def annotated(deployment: Object, rs: Object, old: list[Object]) -> Object:
    """The ReplicaSet with the Deployment's annotations and the number after all old revisions.

    A ReplicaSet that is used again gets a new number and remembers the ones it had.
    """
    copied = {k: v for k, v in annotations_of(deployment).items() if k not in NOT_COPIED}
    annotations = {**annotations_of(rs), **copied}
    number, before = max((revision_of(o) for o in old), default=0) + 1, revision_of(rs)
    if before < number:
        annotations[REVISION] = str(number)
        if before:
            earlier = annotations.get(HISTORY)
            annotations[HISTORY] = f"{earlier},{before}" if earlier else str(before)
    spec: dict[str, Any] = dict(rs["spec"])
    if spec.get("minReadySeconds", 0) != deployment["spec"].get("minReadySeconds", 0):
        spec["minReadySeconds"] = deployment["spec"].get("minReadySeconds", 0)
    return {**rs, "metadata": {**rs["metadata"], "annotations": annotations}, "spec": spec}


def sized(deployment: Object, rs: Object, size: int) -> Object:
    """The ReplicaSet with a number of pods, and a note of what the Deployment asked for."""
    replicas = deployment["spec"]["replicas"]
    notes = {DESIRED: str(replicas), MOST: str(replicas + fenceposts(deployment)[0])}
    annotations = {**annotations_of(rs), **notes}
    return {
        **rs,
        "metadata": {**rs["metadata"], "annotations": annotations},
        "spec": {**rs["spec"], "replicas": size},
    }


def to_forget(deployment: Object, old: list[Object]) -> list[Object]:
    """Empty ReplicaSets beyond `revisionHistoryLimit`, lowest revisions first."""
    excess = len(old) - deployment["spec"]["revisionHistoryLimit"]
    return [
        rs
        for rs in sorted(old, key=revision_of)[: max(0, excess)]
        if not rs["spec"]["replicas"]
        and not rs["status"].get("replicas")
        and rs["status"].get("observedGeneration", 0) >= rs["metadata"]["generation"]
    ]
