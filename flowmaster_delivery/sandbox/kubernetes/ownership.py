"""Who wrote which field last: `metadata.managedFields`, so that clients see other writers.

Field sets are written as `FieldsV1`: `f:` before a field, `k:` before the key of a list's element.
Source of the format: sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from flowmaster_delivery.sandbox.kubernetes.kinds import Object
from flowmaster_delivery.sandbox.kubernetes.strategic_merge import MERGE_KEYS

Path = tuple[str, ...]

OWNED_METADATA = ("annotations", "finalizers", "labels", "ownerReferences")
UNOWNED = ("apiVersion", "kind", "metadata", "status")


def managed_fields(
    previous: Object | None, item: Object, manager: str, moment: str
) -> list[Object]:
    """The entries after `manager` wrote `item` over `previous`: what it changed is now its own."""
    before, after = dict(_leaves(previous)) if previous else {}, dict(_leaves(item))
    changed = {path for path, value in after.items() if before.get(path, ...) != value}
    entries = previous["metadata"].get("managedFields", []) if previous else []
    kept = [_without(entry, changed, after) for entry in entries]
    kept = [entry for entry in kept if entry["fieldsV1"]]
    if not changed:
        return kept
    mine = next((entry for entry in kept if entry["manager"] == manager), None)
    owned = changed | (set(_paths(mine["fieldsV1"])) if mine else set())
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": item["apiVersion"],
        "time": moment,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(owned),
    }
    return [*(other for other in kept if other is not mine), entry]


def _without(entry: Object, changed: set[Path], present: dict[Path, Any]) -> Object:
    left = (p for p in _paths(entry["fieldsV1"]) if p in present and p not in changed)
    return {**entry, "fieldsV1": _tree(left)}


def _leaves(item: Object) -> Iterator[tuple[Path, Any]]:
    for name, value in item.items():
        if name not in UNOWNED:
            yield from _below((f"f:{name}",), name, value)
    for name in OWNED_METADATA:
        if name in item["metadata"]:
            yield from _below(("f:metadata", f"f:{name}"), name, item["metadata"][name])


def _below(path: Path, name: str, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _below((*path, f"f:{key}"), key, inner)
    elif isinstance(value, list) and (keys := _keys(name, value)):
        for element in value:
            key = json.dumps({k: element[k] for k in keys if k in element}, separators=(",", ":"))
            for inner, content in element.items():
                yield from _below((*path, f"k:{key}", f"f:{inner}"), inner, content)
    else:
        yield path, value


def _keys(name: str, elements: list[Any]) -> tuple[str, ...]:
    """Fields that identify an element; none for a list that is owned as a whole."""
    if not all(isinstance(element, dict) for element in elements):
        return ()
    if name == "ports":
        inside = "containerPort" if "containerPort" in elements[0] else "port"
        return (inside, "protocol")
    return (MERGE_KEYS[name],) if name in MERGE_KEYS else ()


def _tree(paths: Iterable[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        level = tree
        for step in path:
            level = level.setdefault(step, {})
    return tree


def _paths(tree: Object, above: Path = ()) -> Iterator[Path]:
    for step, below in tree.items():
        if below:
            yield from _paths(below, (*above, step))
        else:
            yield (*above, step)
