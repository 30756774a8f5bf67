"""Strategic merge patch: lists are merged by the keys that Kubernetes' own types name.

Source of the rules and keys: `patchStrategy` and `patchMergeKey` in k8s.io/api, and the algorithm
of k8s.io/apimachinery/pkg/util/strategicpatch.
"""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError, bad_request, go_map

MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists of objects that are merged, by the name of their field; all others are replaced."""

PRIMITIVE_SETS = frozenset({"finalizers"})
"""Lists of words that are merged."""

ORDER, DELETE_WORDS, DIRECTIVE, RETAIN = (
    "$setElementOrder/",
    "$deleteFromPrimitiveList/",
    "$patch",
    "$retainKeys",
)


def strategic_merge(current: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The object after the patch; neither argument is changed. Raise 400 for bad directives."""
    directive = patch.get(DIRECTIVE, "merge")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    if directive != "merge":
        raise bad_request(f"unrecognized type {directive!r} of a $patch directive")
    kept = patch.get(RETAIN)
    merged = {k: v for k, v in current.items() if kept is None or k in kept}
    for field in (name for name in patch if name.startswith(DELETE_WORDS)):
        name = field.removeprefix(DELETE_WORDS)
        merged[name] = [word for word in merged.get(name, []) if word not in patch[field]]
    for name, value in patch.items():
        if not name.startswith("$"):
            _field(merged, name, value, patch.get(ORDER + name))
    for field in (name for name in patch if name.startswith(ORDER)):
        name = field.removeprefix(ORDER)
        if name in merged and name not in patch:
            merged[name] = _list(name, merged[name], [], patch[field])
    return merged


def _field(merged: dict[str, Any], name: str, value: Any, order: list[Any] | None) -> None:
    current = merged.get(name)
    if value is None:
        merged.pop(name, None)
    elif isinstance(value, dict):
        merged[name] = strategic_merge(current if isinstance(current, dict) else {}, value)
        if value.get(DIRECTIVE) == "delete":
            del merged[name]
    elif isinstance(value, list):
        merged[name] = _list(name, current or [], value, order)
    else:
        merged[name] = value


def _list(name: str, current: list[Any], patch: list[Any], order: list[Any] | None) -> list[Any]:
    if name in PRIMITIVE_SETS:
        return _ordered([*current, *(w for w in patch if w not in current)], current, order, None)
    key = _merge_key(name, [*patch, *current])
    if key is None:
        return [_without_directives(item) for item in patch]
    if any(item.get(DIRECTIVE) == "replace" for item in patch):
        return [_without_directives(i) for i in patch if i.get(DIRECTIVE) != "replace"]
    return _ordered(_merged_items(key, current, patch), current, order, key)


def _merge_key(name: str, items: list[Any]) -> str | None:
    if not all(isinstance(item, dict) for item in items):
        return None
    if name == "ports":  # of a container, or of a Service
        return "containerPort" if any("containerPort" in item for item in items) else "port"
    return MERGE_KEYS.get(name)


def _merged_items(
    key: str, current: list[dict[str, Any]], patch: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    merged = list(current)
    for item in patch:
        if key not in item:
            if item.get(DIRECTIVE) == "merge":
                continue
            words = f"map: {go_map(item)} does not contain declared merge key: {key}"
            raise ApiError(500, "", words)  # what a real API server answers
        at = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get(DIRECTIVE) == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif at is None:
            merged.append(strategic_merge({}, item))
        else:
            merged[at] = strategic_merge(merged[at], item)
    return merged


def _ordered(
    items: list[Any], before: list[Any], order: list[Any] | None, key: str | None
) -> list[Any]:
    """Bring listed items into the order asked for; the others keep their place among them."""
    if order is None:
        return items

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(entry) for entry in order]
    old = [identity(item) for item in before]

    def comes_before(other: Any, entry: Any) -> bool:
        known = identity(entry) in old
        return known and old.index(identity(other)) < old.index(identity(entry))

    listed = sorted(
        (item for item in items if identity(item) in wanted),
        key=lambda item: wanted.index(identity(item)),
    )
    result: list[Any] = []
    for other in (item for item in items if identity(item) not in wanted):
        while listed and not comes_before(other, listed[0]):
            result.append(listed.pop(0))
        result.append(other)
    return result + listed


def _without_directives(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {key: value for key, value in item.items() if not key.startswith("$")}
