"""What is refused with 422: the mistakes that a real API server would not let through either."""

from __future__ import annotations

import re

from flowmaster_delivery.sandbox.kubernetes.kinds import (
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    Kind,
    Object,
)
from flowmaster_delivery.sandbox.kubernetes.selectors import matches
from flowmaster_delivery.sandbox.kubernetes.statuses import go_map, invalid

Cause = tuple[str, str, str]

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_SUBDOMAIN_WORDS = (
    'Invalid value: "{}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
    "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def validate(kind: Kind, item: Object, previous: Object | None = None) -> None:
    """Raise 422 Invalid with every fault of the object that is about to be stored."""
    name = str(item["metadata"].get("name", ""))
    causes = _name(name)
    spec = item.get("spec", {})
    if kind in (DEPLOYMENTS, REPLICA_SETS):
        causes += _replicas(spec) + _selector(spec) + _strategy(spec)
        causes += _pod_spec("spec.template.spec", spec["template"]["spec"])
    elif kind is JOBS:
        causes += _pod_spec("spec.template.spec", spec["template"]["spec"])
        if spec["template"]["spec"]["restartPolicy"] == "Always":
            words = 'Unsupported value: "Always": supported values: "OnFailure", "Never"'
            causes.append(("spec.template.spec.restartPolicy", "FieldValueNotSupported", words))
    elif kind is PODS:
        causes += _pod_spec("spec", spec)
    if previous is not None:
        causes += _immutable(kind, spec, previous.get("spec", {}))
    if causes:
        raise invalid(kind, name, *causes)


def _name(name: str) -> list[Cause]:
    if not name:
        return [
            (
                "metadata.name",
                "FieldValueRequired",
                "Required value: name or generateName is required",
            )
        ]
    if len(name) > 253 or not _SUBDOMAIN.match(name):
        return [("metadata.name", "FieldValueInvalid", _SUBDOMAIN_WORDS.replace("{}", name))]
    return []


def _replicas(spec: Object) -> list[Cause]:
    replicas = spec["replicas"]
    if replicas >= 0:
        return []
    words = f"Invalid value: {replicas}: must be greater than or equal to 0"
    return [("spec.replicas", "FieldValueInvalid", words)]


def _selector(spec: Object) -> list[Cause]:
    selector = spec.get("selector")
    missing = [("spec.selector", "FieldValueRequired", "Required value")] if not selector else []
    labels = spec["template"]["metadata"].get("labels", {})
    if selector and matches(selector, labels):
        return []
    shown = go_map(labels, typed=True)
    words = f"Invalid value: {shown}: `selector` does not match template `labels`"
    return [*missing, ("spec.template.metadata.labels", "FieldValueInvalid", words)]


def _strategy(spec: Object) -> list[Cause]:
    strategy = spec.get("strategy", {})
    if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
        words = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        return [("spec.strategy.rollingUpdate", "FieldValueForbidden", words)]
    return []


def _pod_spec(at: str, spec: Object) -> list[Cause]:
    containers = spec.get("containers", [])
    if not containers:
        return [(f"{at}.containers", "FieldValueRequired", "Required value")]
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        where, name = f"{at}.containers[{index}]", str(container.get("name", ""))
        if not name:
            causes.append((f"{where}.name", "FieldValueRequired", "Required value"))
        elif not _LABEL.match(name):
            words = f'Invalid value: "{name}": must be a lowercase RFC 1123 label'
            causes.append((f"{where}.name", "FieldValueInvalid", words))
        elif name in seen:
            causes.append((f"{where}.name", "FieldValueDuplicate", f'Duplicate value: "{name}"'))
        seen.add(name)
        if not str(container.get("image", "")).strip():
            causes.append((f"{where}.image", "FieldValueRequired", "Required value"))
    return causes


def _immutable(kind: Kind, spec: Object, previous: Object) -> list[Cause]:
    fixed = {
        DEPLOYMENTS: ("selector",),
        REPLICA_SETS: ("selector",),
        JOBS: ("selector", "template", "completions"),
    }.get(kind, ())
    return [
        (f"spec.{field}", "FieldValueInvalid", "Invalid value: field is immutable")
        for field in fixed
        if spec.get(field) != previous.get(field)
    ]
