"""Orders to the sandbox over its control address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowmaster_delivery.sandbox.breaking import Breaking
from flowmaster_delivery.sandbox.control import Control
from flowmaster_delivery.sandbox.faults import Faults
from flowmaster_delivery.sandbox.orders import Behaviours, ServiceBehaviour

OPEN = {"Authorization": "Bearer control"}


OLD, NEW = (f"127.0.0.1:5000/fm/auth@sha256:{letter * 64}" for letter in "ab")
SINCE = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Pod:
    name: str
    image: str
    since: datetime = SINCE
    ready: bool = True

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]


class World:
    def __init__(self) -> None:
        self.behaviours = Behaviours()
        self.faults = Faults()
        self.changes = 0
        self.pods = {
            ("fm-prod", "auth"): [Pod("auth-1", OLD), Pod("auth-2", NEW, SINCE + timedelta(1))],
            ("fm-prod", "web"): [Pod("web-1", NEW, SINCE + timedelta(1))],
            ("fm-prod", "web-canary"): [Pod("web-canary-1", OLD)],
        }
        breaking = Breaking(
            self.behaviours,
            lambda *where: self.pods.get(where, []),
            {"production": "fm-prod", "dev": "fm-dev"},
            {"auth-service": "auth", "web": "web"},
        )
        self.app = Control(self.behaviours, breaking, self.faults, "control", self.note).app

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


def break_down(client: Any, service: str, where: str = "production", **order: object) -> Any:
    return client.post(f"/sandbox/break/{service}/{where}", json=order, headers=OPEN)


def test_the_image_that_came_last_is_broken_and_another_one_is_well(
    world: World, client: Any
) -> None:
    answer = break_down(client, "auth-service", failure_rate=0.08, delay=0.9)
    assert (answer.status_code, answer.json()["digest"]) == (201, "sha256:" + "b" * 64)
    assert (answer.json()["workload"], answer.json()["pods"]) == ("auth", 1)
    told = world.behaviours.service("fm-prod", "auth", NEW)
    assert (told.failure_rate, told.status, told.delay) == (0.08, 503, 0.9)
    assert world.behaviours.pod("fm-prod", "auth", NEW).outcome == "ready"
    for namespace, image in (("fm-prod", OLD), ("fm-dev", NEW)):
        assert world.behaviours.service(namespace, "auth", image) == ServiceBehaviour()
    assert world.changes == 1


def test_a_canary_is_broken_before_what_runs_beside_it(world: World, client: Any) -> None:
    assert break_down(client, "web", failure_rate=0.08).json()["image"] == OLD
    assert world.behaviours.service("fm-prod", "web-canary", OLD).failure_rate == 0.08


@pytest.mark.parametrize(
    ("order", "outcome", "down"),
    [
        ({"down": True}, "never_ready", True),
        ({"failure_rate": 1}, "never_ready", False),
        ({"crash": True}, "crash", False),
    ],
)
def test_pods_fare_as_a_kubelet_would_have_it(
    world: World, client: Any, order: dict[str, object], outcome: str, down: bool
) -> None:
    break_down(client, "auth-service", **order)
    assert world.behaviours.pod("fm-prod", "auth", NEW).outcome == outcome
    assert world.behaviours.service("fm-prod", "auth", NEW).down is down


def test_mending_takes_back_all_orders_for_the_service(world: World, client: Any) -> None:
    break_down(client, "auth-service", down=True)
    answer = client.post("/sandbox/mend/auth-service", headers=OPEN).json()
    assert answer == {"mended": "auth-service", "orders": 2}
    assert world.behaviours.service("fm-prod", "auth", NEW) == ServiceBehaviour()
    assert client.post("/sandbox/mend/auth-service", headers=OPEN).json()["orders"] == 0


@pytest.mark.parametrize(
    ("where", "order", "status", "word"),
    [
        ("auth-servise/production", {"down": True}, 404, "did you mean 'auth-service'?"),
        ("auth-service/prod", {"down": True}, 404, "'production'"),
        ("auth-service/dev", {"down": True}, 404, "runs in dev"),
        ("auth-service/production", {}, 400, "failure_rate"),
        ("auth-service/production", {"failure_rate": 8}, 400, "failure_rate"),
        ("auth-service/production", {"slow": 8}, 400, "slow"),
    ],
)
def test_what_cannot_be_broken_is_named(
    world: World, client: Any, where: str, order: dict[str, object], status: int, word: str
) -> None:
    answer = break_down(client, *where.split("/"), **order)
    assert answer.status_code == status
    assert word in answer.json()["error"]
    assert (world.changes, world.behaviours.service_rules) == (0, ())


def test_an_unknown_service_cannot_be_mended(client: Any) -> None:
    assert client.post("/sandbox/mend/nothing", headers=OPEN).status_code == 404


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
