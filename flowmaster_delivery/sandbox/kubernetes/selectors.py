"""Label and field selectors, as lists, watches and controllers ask with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from flowmaster_delivery.sandbox.kubernetes.kinds import (
    EVENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    Kind,
    Object,
)
from flowmaster_delivery.sandbox.kubernetes.statuses import bad_request

Labels = Mapping[str, str]
Requirement = Callable[[Labels], bool]

_KEY = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
_SET = re.compile(rf"^({_KEY})\s+(in|notin)\s*\(([^)]*)\)$")
_EQUAL = re.compile(rf"^({_KEY})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)$")
_EXISTS = re.compile(rf"^(!?)\s*({_KEY})$")
_BETWEEN = re.compile(r",(?![^(]*\))")

FIELDS: Mapping[Kind, frozenset[str]] = {
    PODS: frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    EVENTS: frozenset(
        {
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    SECRETS: frozenset({"type"}),
    JOBS: frozenset({"status.successful"}),
    REPLICA_SETS: frozenset({"status.replicas"}),
}
"""Fields that a selector may name, beside `metadata.name` and `metadata.namespace`."""


@lru_cache(maxsize=256)
def label_selector(text: str) -> Requirement:
    """Parse `app=api,tier in (a,b),!canary`; raise 400 where it cannot be read."""
    parts = [part.strip() for part in _BETWEEN.split(text) if part.strip()]
    requirements = [_requirement(part) for part in parts]
    return lambda labels: all(holds(labels) for holds in requirements)


def _requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(part):
        absent, key = found.groups()
        return lambda labels: (key in labels) is not bool(absent)
    raise bad_request(f'unable to parse requirement: "{part}" is no label selector')


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether `spec.selector` of a controller (matchLabels, matchExpressions) takes the labels."""
    wanted: Labels = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(e, labels) for e in selector.get("matchExpressions", []))


def _expression(expression: Mapping[str, Any], labels: Labels) -> bool:
    present, values = labels.get(expression["key"]), expression.get("values", [])
    match expression["operator"]:
        case "In":
            return present in values
        case "NotIn":
            return present not in values
        case "Exists":
            return present is not None
        case _:
            return present is None


def as_text(selector: Mapping[str, Any]) -> str:
    """A controller's selector as tables and the scale subresource show it."""
    said = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for expression in selector.get("matchExpressions", []):
        key, values = expression["key"], ",".join(expression.get("values", []))
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        said.append(words.get(expression["operator"], f"!{key}"))
    return ",".join(said)


def field_selector(kind: Kind, text: str) -> Callable[[Object], bool]:
    """Parse `metadata.name=x,status.phase!=Running`; raise 400 for fields that are not offered."""
    tests: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        name, separator, value = part.partition("!=" if "!=" in part else "=")
        if not separator:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        name = name.strip()
        if name not in ("metadata.name", "metadata.namespace") and name not in FIELDS.get(kind, ()):
            raise bad_request(f"field label not supported: {name}")
        tests.append((name, separator == "=", value.lstrip("=").strip()))
    return lambda item: all((_field(item, name) == value) is same for name, same, value in tests)


def _field(item: Object, path: str) -> str:
    value: Any = item
    if path == "status.successful":
        path = "status.succeeded"
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value = value.get("component")
    return "" if value is None else str(value)
