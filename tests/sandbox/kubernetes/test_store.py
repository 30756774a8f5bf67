"""The store finds what belongs together without a look at the rest."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster_delivery.sandbox.kubernetes.kinds import PODS, REPLICA_SETS, Object, name_of
from flowmaster_delivery.sandbox.kubernetes.store import Store

OWNER: Object = {"metadata": {"name": "web", "namespace": "dev", "uid": "u-1"}}


def pod(name: str, *owners: str, namespace: str = "dev") -> Object:
    references = [{"uid": uid, "controller": uid == "u-1"} for uid in owners]
    return {"metadata": {"name": name, "namespace": namespace, "ownerReferences": references}}


@pytest.fixture
def store() -> Store:
    store = Store()
    for item in (pod("b", "u-1"), pod("a", "u-2", "u-1"), pod("c", "u-2"), pod("d")):
        store.create(PODS, item)
    store.create(PODS, pod("e", "u-1", namespace="elsewhere"))
    return store


def made(store: Store) -> list[str]:
    return [name_of(item) for item in store.controlled(PODS, OWNER)]


def test_what_a_controller_made_is_found_by_name_in_its_namespace(store: Store) -> None:
    assert made(store) == ["a", "b"]
    assert store.controlled(REPLICA_SETS, OWNER) == []
    assert {name_of(item) for _, item in store.dependents("u-2")} == {"a", "c"}


def test_what_is_removed_or_given_to_another_owner_is_found_no_more(store: Store) -> None:
    store.remove(PODS, "dev", "b")
    store.replace(PODS, pod("a", "u-3"))
    store.replace(PODS, pod("d", "u-1"))
    assert made(store) == ["d"]
    assert [name_of(item) for _, item in store.dependents("u-3")] == ["a"]
    assert store.dependents("nobody") == []


@pytest.mark.parametrize("references", [None, 5, "u-1", [None], [{"uid": ["u-1"]}], [{}]], ids=repr)
def test_owners_of_an_odd_form_are_none(references: Any) -> None:
    store = Store()
    metadata = {"name": "odd", "namespace": "dev", "ownerReferences": references}
    store.create(PODS, {"metadata": metadata})
    assert made(store) == []
    store.remove(PODS, "dev", "odd")
