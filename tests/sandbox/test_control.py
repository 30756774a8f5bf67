"""Orders to the sandbox over its control address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowmaster_delivery.sandbox.control import Control
from flowmaster_delivery.sandbox.faults import Faults
from flowmaster_delivery.sandbox.orders import Behaviours

OPEN = {"Authorization": "Bearer control"}


class World:
    def __init__(self) -> None:
        self.behaviours = Behaviours()
        self.faults = Faults()
        self.changes = 0
        self.app = Control(self.behaviours, self.faults, "control", self.note).app

    def note(self) -> None:
        self.changes += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World, client_of: Callable[..., Any]) -> Any:
    return client_of(world.app)


def test_pods_are_told_how_to_fare(world: World, client: Any) -> None:
    order = {"workload": "ai-agent", "outcome": "crash", "message": "panic"}
    assert client.post("/sandbox/pods", json=order, headers=OPEN).status_code == 201
    assert world.behaviours.pod("flowmaster-dev", "ai-agent", "x").words == "panic"
    assert world.behaviours.pod("flowmaster-dev", "scheduling", "x").outcome == "ready"
    assert world.changes == 1


def test_a_broken_service_is_mended(world: World, client: Any) -> None:
    client.post("/sandbox/break/auth-service", headers=OPEN)
    assert world.behaviours.pod("n", "auth-service", "x").outcome == "never_ready"
    assert world.behaviours.service("n", "auth-service", "x").failure_rate == 1
    client.post("/sandbox/mend/auth-service", headers=OPEN)
    assert world.behaviours.pod("n", "auth-service", "x").outcome == "ready"


def test_a_fault_is_ordered_listed_and_taken_back(world: World, client: Any) -> None:
    order = {"server": "gitlab", "match": "/api/v4/*", "status": 503, "times": 3}
    assert client.post("/sandbox/faults", json=order, headers=OPEN).status_code == 201
    assert client.get("/", headers=OPEN).json()["faults"][0]["times"] == 3
    assert client.delete("/sandbox/faults", headers=OPEN).status_code == 204
    assert world.faults.listed() == ()


def test_all_orders_can_be_taken_back(world: World, client: Any) -> None:
    client.post("/sandbox/services", json={"delay": 2}, headers=OPEN)
    assert client.delete("/sandbox/orders", headers=OPEN).status_code == 204
    assert client.get("/sandbox/orders", headers=OPEN).json()["services"] == []


@pytest.mark.parametrize(
    ("path", "order", "word"),
    [
        ("pods", {"outcome": "explode"}, "outcome"),
        ("pods", {"workloads": "ai-agent"}, "workloads"),
        ("services", {"failure_rate": 2}, "failure_rate"),
        ("services", {"delay": "long"}, "delay"),
        ("faults", {"server": "gitlub"}, "server"),
        ("faults", {"status": 42}, "status"),
        ("faults", {"times": 0}, "times"),
    ],
)
def test_an_order_with_a_mistake_is_refused_and_names_it(
    client: Any, path: str, order: dict[str, object], word: str
) -> None:
    answer = client.post(f"/sandbox/{path}", json=order, headers=OPEN)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


def test_what_is_no_json_is_refused(client: Any) -> None:
    assert client.post("/sandbox/pods", content=b"{", headers=OPEN).status_code == 400


@pytest.mark.parametrize("token", ["", "Bearer wrong", "control", "Bearer contröl"], ids=repr)
def test_without_the_control_token_nothing_is_ordered(
    world: World, client: Any, token: str
) -> None:
    headers = {"Authorization": token.encode()}
    assert client.post("/sandbox/break/auth-service", headers=headers).status_code == 401
    assert world.changes == 0
