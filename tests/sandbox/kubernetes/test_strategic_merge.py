"""Strategic merge: lists by their merge keys, as Kubernetes' own types name them."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError
from flowmaster_delivery.sandbox.kubernetes.strategic_merge import strategic_merge

CURRENT: dict[str, Any] = {
    "containers": [
        {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}]},
        {"name": "proxy", "image": "proxy:1"},
    ]
}


def test_a_new_image_leaves_the_sidecar_and_the_environment() -> None:
    merged = strategic_merge(CURRENT, {"containers": [{"name": "web", "image": "web:2"}]})
    assert merged["containers"] == [
        {"name": "web", "image": "web:2", "env": [{"name": "A", "value": "1"}]},
        {"name": "proxy", "image": "proxy:1"},
    ]


def test_the_object_that_is_patched_stays_as_it_was() -> None:
    strategic_merge(CURRENT, {"containers": [{"name": "web", "image": "web:2"}]})
    assert CURRENT["containers"][0]["image"] == "web:1"


def test_an_element_is_deleted_by_its_directive() -> None:
    merged = strategic_merge(CURRENT, {"containers": [{"name": "proxy", "$patch": "delete"}]})
    assert [c["name"] for c in merged["containers"]] == ["web"]


def test_a_list_is_replaced_by_its_directive() -> None:
    patch = {"containers": [{"$patch": "replace"}, {"name": "new", "image": "new:1"}]}
    assert strategic_merge(CURRENT, patch) == {"containers": [{"name": "new", "image": "new:1"}]}


def test_the_order_asked_for_is_kept_and_its_directive_is_not_stored() -> None:
    patch = {
        "$setElementOrder/containers": [{"name": "new"}, {"name": "web"}],
        "containers": [{"name": "new", "image": "new:1"}],
    }
    merged = strategic_merge(CURRENT, patch)
    assert [c["name"] for c in merged["containers"]] == ["new", "web", "proxy"]
    assert set(merged) == {"containers"}


def test_an_order_alone_reorders() -> None:
    patch = {"$setElementOrder/containers": [{"name": "proxy"}, {"name": "web"}]}
    merged = strategic_merge(CURRENT, patch)
    assert [c["name"] for c in merged["containers"]] == ["proxy", "web"]


def test_ports_of_containers_and_of_services_have_keys_of_their_own() -> None:
    container = {"ports": [{"containerPort": 80, "name": "http"}]}
    service = {"ports": [{"port": 80, "targetPort": 8080}]}
    merged = strategic_merge(container, {"ports": [{"containerPort": 80, "protocol": "TCP"}]})
    assert merged["ports"] == [{"containerPort": 80, "name": "http", "protocol": "TCP"}]
    merged = strategic_merge(service, {"ports": [{"port": 80, "targetPort": 9090}]})
    assert merged["ports"] == [{"port": 80, "targetPort": 9090}]


def test_lists_without_a_key_are_replaced() -> None:
    assert strategic_merge({"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}


def test_finalizers_are_joined_and_taken_off_by_name() -> None:
    current = {"finalizers": ["a", "b"]}
    assert strategic_merge(current, {"finalizers": ["c"]}) == {"finalizers": ["a", "b", "c"]}
    taken = {"$deleteFromPrimitiveList/finalizers": ["a"]}
    assert strategic_merge(current, taken) == {"finalizers": ["b"]}


def test_null_deletes_and_retained_keys_drop_the_others() -> None:
    current = {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "paused": True,
    }
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "paused": None}
    assert strategic_merge(current, patch) == {"strategy": {"type": "Recreate"}}


def test_an_element_without_its_key_is_refused_as_a_real_server_does() -> None:
    with pytest.raises(ApiError, match="does not contain declared merge key: name") as refused:
        strategic_merge(CURRENT, {"containers": [{"image": "web:2"}]})
    assert refused.value.code == 500


def test_an_unknown_directive_is_refused() -> None:
    with pytest.raises(ApiError, match="unrecognized type") as refused:
        strategic_merge(CURRENT, {"$patch": "explode"})
    assert refused.value.code == 400
