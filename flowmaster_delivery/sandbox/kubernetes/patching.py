"""The patch formats: which one a request brings, merge patch (RFC 7386), JSON patch (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

from flowmaster_delivery.sandbox.kubernetes.kinds import Object
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError, bad_request, unprocessable
from flowmaster_delivery.sandbox.kubernetes.strategic_merge import strategic_merge

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
REJECTED = "the server rejected our request due to an error in our request"


def check_offered(content_type: str, *, custom: bool = False) -> None:
    """Raise 415 for formats that are not offered: server-side apply, and strategic merge of
    `custom` resources, whose merge keys no server knows."""
    offered = (JSON, MERGE) if custom else (JSON, MERGE, STRATEGIC)
    if content_type not in offered:
        raise ApiError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(offered),
        )


def patched(content_type: str, current: Object, patch: Any) -> Object:
    """The object after the patch. Raise 415, 400 for wrong shapes, 422 where it does not hold."""
    check_offered(content_type)
    current = copy.deepcopy(current)
    if content_type == JSON:
        return _object(json_patch(current, patch))
    if not isinstance(patch, dict):
        raise bad_request("the patch is no JSON object")
    if content_type == STRATEGIC:
        return strategic_merge(current, patch)
    return _object(merge_patch(current, patch))


def _object(result: Any) -> Object:
    if not isinstance(result, dict):
        raise bad_request("the patch leaves no object")
    return result


def merge_patch(current: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(document: Any, operations: Any) -> Any:
    """Apply all operations or none; raise 422 where one of them does not hold."""
    if not isinstance(operations, list):
        raise bad_request("the patch is no list of operations")
    for operation in operations:
        try:
            document = _operation(document, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            raise unprocessable(REJECTED) from error
    return document


def _operation(document: Any, operation: dict[str, Any]) -> Any:
    path, kind = _steps(operation["path"]), operation["op"]
    match kind:
        case "test":
            if _read(document, path) != operation.get("value"):
                raise ValueError(f"testing value {operation['path']} failed")
            return document
        case "remove":
            return _removed(document, path)
        case "add":
            return _added(document, path, operation["value"])
        case "replace":
            _read(document, path)
            if not path:
                return operation["value"]
            return _added(_removed(document, path), path, operation["value"])
        case "copy" | "move":
            source = _steps(operation["from"])
            value = copy.deepcopy(_read(document, source))
            if kind == "move":
                document = _removed(document, source)
            return _added(document, path, value)
    raise ValueError(f"unknown operation {kind!r}")


def _steps(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is no JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _read(document: Any, path: list[str]) -> Any:
    for step in path:
        document = document[_index(step)] if isinstance(document, list) else document[step]
    return document


def _index(step: str) -> int:
    if not step.isdigit():
        raise ValueError(f"{step!r} is no index")
    return int(step)


def _removed(document: Any, path: list[str]) -> Any:
    parent = _read(document, path[:-1])
    del parent[_index(path[-1]) if isinstance(parent, list) else path[-1]]
    return document


def _added(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _read(document, path[:-1])
    if not isinstance(parent, list):
        parent[path[-1]] = value
        return document
    at = len(parent) if path[-1] == "-" else _index(path[-1])
    if at > len(parent):
        raise IndexError(at)
    parent.insert(at, value)
    return document
