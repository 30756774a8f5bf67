"""Watches and the history behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from flowmaster_delivery.sandbox.kubernetes.kinds import CONFIG_MAPS, DEPLOYMENTS, Object
from flowmaster_delivery.sandbox.kubernetes.requests import question as asked
from flowmaster_delivery.sandbox.kubernetes.requests import target
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError
from flowmaster_delivery.sandbox.kubernetes.store import Store
from flowmaster_delivery.sandbox.kubernetes.watching import Question, Watches
from tests.sandbox.kubernetes.lab import Lab, deployment

PATH = "/api/v1/namespaces/default/configmaps"


def config(name: str, **labels: str) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def question(**query: str) -> Question:
    return asked(target(PATH), query)


def watched(
    lab: Lab,
    sought: Question,
    version: str,
    act: Callable[[], object] = lambda: None,
    seconds: float = 0.05,
) -> list[tuple[str, str]]:
    """Types and names of what a watch of `seconds` sees while `act` happens."""

    async def collect() -> list[tuple[str, str]]:
        asyncio.get_running_loop().call_later(seconds / 2, act)
        events = Watches(lab.store).events(sought, version, seconds, bookmarks=False)
        return [(kind, item.get("metadata", {}).get("name", "")) async for kind, item in events]

    return asyncio.run(collect())


def test_a_watch_from_nowhere_begins_with_what_is_there(lab: Lab) -> None:
    lab.apply(config("a"))
    events = watched(lab, question(), "", lambda: lab.apply(config("b")))
    assert events == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_from_a_version_has_everything_after_it(lab: Lab) -> None:
    lab.apply(config("a"))
    version = str(lab.store.version)
    lab.apply(config("b"))
    lab.apply(config("a", team="x"))
    lab.store.remove(CONFIG_MAPS, "default", "b")
    assert watched(lab, question(), version) == [
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "b"),
    ]


def test_what_no_longer_matches_a_selector_was_deleted_for_its_watch(lab: Lab) -> None:
    lab.apply(config("a", team="x"))
    lab.apply(config("other"))
    version = str(lab.store.version)

    def act() -> None:
        lab.apply(config("a", team="y"))
        lab.apply(config("a", team="x"))
        lab.apply(config("other", note="z"))

    events = watched(lab, question(labelSelector="team=x"), version, act)
    assert events == [("DELETED", "a"), ("ADDED", "a")]


def test_other_namespaces_and_names_are_not_seen(lab: Lab) -> None:
    version = str(lab.store.version)

    def act() -> None:
        elsewhere = config("a")
        elsewhere["metadata"]["namespace"] = "kube-system"
        lab.apply(elsewhere)
        lab.apply(config("b"))
        lab.apply(config("c"))

    sought = question(fieldSelector="metadata.name=c")
    assert watched(lab, sought, version, act) == [("ADDED", "c")]


def test_a_version_before_the_history_is_expired(lab: Lab) -> None:
    lab.apply(config("a"))
    old = str(lab.store.version - 1)
    lab.store.compact()

    async def first() -> tuple[str, Object]:
        events = Watches(lab.store).events(question(), old, 1, bookmarks=False)
        return await anext(aiter(events))

    kind, status = asyncio.run(first())
    assert kind == "ERROR"
    assert (status["code"], status["reason"]) == (410, "Expired")


def test_the_history_forgets_its_oldest_changes() -> None:
    store = Store(history=3)
    for number in range(5):
        store.create(CONFIG_MAPS, config(f"c{number}"))
    assert len(store.since(store.version - 3)) == 3
    with pytest.raises(ApiError) as refused:
        store.since(store.version - 4)
    assert refused.value.code == 410


def test_a_write_that_changes_nothing_is_not_seen(lab: Lab) -> None:
    lab.apply(config("a"))
    version = lab.store.version
    lab.apply(config("a"))
    assert lab.store.version == version


def test_a_server_that_goes_down_ends_its_watches(lab: Lab) -> None:
    async def wait() -> list[object]:
        watches = Watches(lab.store)
        asyncio.get_running_loop().call_later(0.02, watches.close)
        events = watches.events(question(), "", None, bookmarks=False)
        return [event async for event in events]

    assert asyncio.run(asyncio.wait_for(wait(), 5)) == []


def test_every_step_of_a_rollout_is_seen(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    version = lab.store.version
    lab.set_image("shop/web:2", 5)
    sought = Question(DEPLOYMENTS, "default", lambda _: True)
    seen = [event for change in lab.store.since(version) if (event := sought.seen(change))]
    updated = [item["status"].get("updatedReplicas", 0) for _, item in seen]
    assert updated[-1] == 2
    assert 1 in updated
    assert {kind for kind, _ in seen} == {"MODIFIED"}
