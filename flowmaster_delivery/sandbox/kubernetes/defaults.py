"""What the API server fills in where a manifest says nothing, so that equal meaning is equal JSON.

The template hash and "is it the same template" stand on this: some clients send
`creationTimestamp: null` and `resources: {}`, others do not, and both mean the same pods.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from flowmaster_delivery.sandbox.kubernetes.kinds import (
    DEPLOYMENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    Kind,
    Object,
)

EMPTY_MEANS_NOTHING = frozenset(
    {
        "annotations",
        "args",
        "command",
        "conditions",
        "env",
        "envFrom",
        "finalizers",
        "imagePullSecrets",
        "initContainers",
        "labels",
        "limits",
        "matchExpressions",
        "nodeSelector",
        "ownerReferences",
        "ports",
        "requests",
        "tolerations",
        "volumeMounts",
        "volumes",
    }
)


MICRO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")


def tidied(value: Any) -> Any:
    """A copy without nulls, and without empty lists and maps that say nothing."""
    if isinstance(value, dict):
        cleaned = {key: tidied(item) for key, item in value.items() if item is not None}
        return {k: v for k, v in cleaned.items() if v or k not in EMPTY_MEANS_NOTHING}
    if isinstance(value, list):
        return [tidied(item) for item in value]
    return copy.deepcopy(value)


def defaulted(kind: Kind, item: Object) -> Object:
    """The object as it is stored: tidied, typed, its spec complete."""
    item = tidied(item)
    item["apiVersion"], item["kind"] = kind.api_version, kind.kind
    if kind is DEPLOYMENTS:
        _deployment(item.setdefault("spec", {}))
    elif kind in (REPLICA_SETS, JOBS):
        spec = item.setdefault("spec", {})
        _workload(spec, {"replicas": 1} if kind is REPLICA_SETS else JOB_DEFAULTS)
    elif kind is PODS:
        _pod(item.setdefault("spec", {}))
    elif kind is SERVICES:
        _service(item.setdefault("spec", {}))
    elif kind is SECRETS:
        item.setdefault("type", "Opaque")
    elif kind is LEASES:
        _lease(item.setdefault("spec", {}))
    elif kind is NAMESPACES:
        item.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    return item


def _lease(spec: Object) -> None:
    """Raise ValueError for a time without its six decimals: `MicroTime` cannot be read so."""
    for field in ("acquireTime", "renewTime"):
        if field in spec and not MICRO_TIME.match(spec[field]):
            layout = "2006-01-02T15:04:05.000000Z07:00"
            raise ValueError(f'{field}: parsing time "{spec[field]}" as "{layout}"')


JOB_DEFAULTS = {"parallelism": 1, "completions": 1, "backoffLimit": 6}


def _deployment(spec: Object) -> None:
    _workload(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")


def _workload(spec: Object, defaults: Object) -> None:
    for key, value in defaults.items():
        if not isinstance(spec.setdefault(key, value), int):
            raise TypeError(f"spec.{key} is no number: {spec[key]!r}")
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    _pod(template.setdefault("spec", {}))


def _pod(spec: Object) -> None:
    for key, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        spec.setdefault(key, value)
    spec.setdefault("securityContext", {})
    for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        _container(container)
    for volume in spec.get("volumes", []):
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)


def _container(container: Object) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", _pull_policy(str(container.get("image", ""))))
    container.setdefault("resources", {})
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            _probe(container[probe])


def _probe(probe: Object) -> None:
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(key, value)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def _pull_policy(image: str) -> str:
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    moving = "@" not in image and tag in ("", "latest")
    return "Always" if moving else "IfNotPresent"


def _service(spec: Object) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
