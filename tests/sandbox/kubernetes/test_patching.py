"""The patch formats beside strategic merge, and those that are not offered."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster_delivery.sandbox.kubernetes.patching import (
    JSON,
    MERGE,
    STRATEGIC,
    merge_patch,
    patched,
)
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError

OBJECT: dict[str, Any] = {"spec": {"replicas": 2, "list": ["a", "b"]}, "metadata": {"name": "x"}}


def test_a_merge_patch_replaces_lists_and_deletes_by_null() -> None:
    assert merge_patch({"a": [1, 2], "b": {"c": 1, "d": 2}}, {"a": [3], "b": {"c": None}}) == {
        "a": [3],
        "b": {"d": 2},
    }


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (
            {"op": "replace", "path": "/spec/replicas", "value": 3},
            {"replicas": 3, "list": ["a", "b"]},
        ),
        ({"op": "remove", "path": "/spec/list"}, {"replicas": 2}),
        (
            {"op": "add", "path": "/spec/list/-", "value": "c"},
            {"replicas": 2, "list": ["a", "b", "c"]},
        ),
        (
            {"op": "add", "path": "/spec/list/0", "value": "c"},
            {"replicas": 2, "list": ["c", "a", "b"]},
        ),
        (
            {"op": "copy", "from": "/spec/replicas", "path": "/spec/x"},
            {"replicas": 2, "list": ["a", "b"], "x": 2},
        ),
        ({"op": "move", "from": "/spec/replicas", "path": "/spec/x"}, {"list": ["a", "b"], "x": 2}),
        (
            {"op": "add", "path": "/spec/a~1b~0c", "value": 1},
            {"replicas": 2, "list": ["a", "b"], "a/b~c": 1},
        ),
        ({"op": "test", "path": "/spec/replicas", "value": 2}, {"replicas": 2, "list": ["a", "b"]}),
    ],
    ids=lambda value: value.get("op") if isinstance(value, dict) else None,
)
def test_json_patch_does_what_each_operation_says(operation: Any, expected: Any) -> None:
    assert patched(JSON, OBJECT, [operation])["spec"] == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/replicas", "value": 7},
        {"op": "replace", "path": "/spec/nothing", "value": 7},
        {"op": "remove", "path": "/spec/list/9"},
        {"op": "add", "path": "/spec/list/9", "value": 7},
        {"op": "add", "path": "no-slash", "value": 7},
        {"op": "explode", "path": "/spec"},
        {"path": "/spec"},
        {"op": "add", "path": "/spec/x"},
    ],
)
def test_a_json_patch_that_does_not_hold_is_refused_with_422(operation: Any) -> None:
    before = {"op": "replace", "path": "/spec/replicas", "value": 9}
    with pytest.raises(ApiError) as refused:
        patched(JSON, OBJECT, [before, operation])
    assert refused.value.code == 422
    assert OBJECT["spec"]["replicas"] == 2


@pytest.mark.parametrize("kind", ["application/apply-patch+yaml", "application/json", ""])
def test_other_formats_are_refused_with_415(kind: str) -> None:
    with pytest.raises(ApiError) as refused:
        patched(kind, OBJECT, {})
    assert refused.value.code == 415


@pytest.mark.parametrize(
    ("kind", "patch"), [(MERGE, [1]), (STRATEGIC, "x"), (JSON, {}), (MERGE, None)]
)
def test_a_patch_of_the_wrong_shape_is_refused_with_400(kind: str, patch: Any) -> None:
    with pytest.raises(ApiError) as refused:
        patched(kind, OBJECT, patch)
    assert refused.value.code == 400
