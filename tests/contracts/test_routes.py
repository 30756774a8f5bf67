"""Shares of requests by an HTTPRoute's weights, on the sandbox and a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flowmaster_delivery.model.canary import Traffic
from flowmaster_delivery.model.errors import NotFound, Refused
from tests.contracts import gateway
from tests.contracts.clusters import Target, real, sandbox
from tests.contracts.namespaces import API, Namespace, a_reference, namespace

BACKEND = {"name": "api", "port": 80}


@pytest.fixture(scope="module", params=[sandbox, real], ids=["sandbox", "real"])
def bare(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """A cluster; the real one is without the Gateway API."""
    with request.param(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def target(bare: Target) -> Iterator[Target]:
    with gateway.installed(bare):
        yield bare


@pytest.fixture
def room(target: Target) -> Iterator[Namespace]:
    with namespace(target, Traffic.AUTO) as found:
        found.deploy(a_reference(), replicas=1)
        found.front()
        yield found


def a_canary(room: Namespace) -> str:
    made = room.cluster.create_canary(API, a_reference(), pods=1, annotations={}, weighted=True)
    return made.uid


def backends(room: Namespace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = room.get("httproutes", "shop")["spec"]["rules"][0]["backendRefs"]
    return found


def test_a_cluster_without_the_gateway_api_has_no_weights(bare: Target) -> None:
    with namespace(bare, Traffic.AUTO) as room:
        room.deploy(a_reference(), replicas=1)
        room.front()
        assert room.cluster.weigh(API, 10) is None


def test_where_no_route_leads_to_the_service_there_are_no_weights(room: Namespace) -> None:
    room.create("httproutes", gateway.route({"name": "web", "port": 80}))
    assert room.cluster.weigh(API, 10) is None


def test_a_share_goes_to_the_canary_and_is_taken_back(room: Namespace) -> None:
    room.create("httproutes", gateway.route(BACKEND))
    a_canary(room)
    assert room.cluster.weigh(API, 10) == "HTTPRoute shop: 90 % to api, 10 % to api-canary"
    assert backends(room) == [
        {"name": "api", "port": 80, "weight": 90},
        {"name": "api-canary", "port": 80, "weight": 10},
    ]
    room.cluster.weigh(API, 50)
    assert [b["weight"] for b in backends(room)] == [50, 50]
    assert room.cluster.weigh(API, 0) == "HTTPRoute shop: 100 % to api, 0 % to api-canary"
    assert backends(room) == [{"name": "api", "port": 80, "weight": 1}]


def test_other_rules_of_the_route_stay_as_they_are(room: Namespace) -> None:
    before = room.create("httproutes", gateway.route(BACKEND))["spec"]
    a_canary(room)
    room.cluster.weigh(API, 10)
    after = room.get("httproutes", "shop")["spec"]
    assert after["parentRefs"] == before["parentRefs"]
    assert after["rules"][1] == before["rules"][1]
    assert after["rules"][0]["matches"] == before["rules"][0]["matches"]


def test_asking_for_no_share_changes_nothing_and_says_whether_there_could_be_one(
    room: Namespace,
) -> None:
    before = room.create("httproutes", gateway.route(BACKEND))
    assert room.cluster.weigh(API, 0)
    after = room.get("httproutes", "shop")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_share_that_people_set_between_services_is_not_changed(room: Namespace) -> None:
    legacy = {"name": "legacy", "port": 80, "weight": 20}
    room.create("httproutes", gateway.route({**BACKEND, "weight": 80}, legacy))
    a_canary(room)
    with pytest.raises(Refused, match="HTTPRoute shop shares its requests between api and legacy"):
        room.cluster.weigh(API, 10)
    room.cluster.weigh(API, 0)
    assert [b["weight"] for b in backends(room)] == [80, 20]


def test_no_share_is_sent_to_a_canary_that_has_no_service(room: Namespace) -> None:
    room.create("httproutes", gateway.route(BACKEND))
    with pytest.raises(NotFound, match="api-canary"):
        room.cluster.weigh(API, 10)
    assert backends(room) == [BACKEND]


def test_a_weighted_canary_is_reached_by_its_own_service_only(room: Namespace) -> None:
    uid = a_canary(room)
    room.await_available(API.canary, 1)
    stable = room.get("services", "api")["spec"]["selector"]
    own = room.get("services", "api-canary")["spec"]
    labels = room.get("deployments", "api-canary")["spec"]["template"]["metadata"]["labels"]
    assert own["selector"].items() <= labels.items()
    assert not any(labels[key] == value for key, value in stable.items())
    assert [(p["port"], p["targetPort"]) for p in own["ports"]] == [(80, 8080)]
    room.cluster.remove(API.canary, uid)
    assert room.names("services") == {"api"}


def test_a_service_left_by_a_crash_does_not_hinder_the_next_canary(room: Namespace) -> None:
    room.cluster.remove(API.canary, a_canary(room))
    left = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api-canary", "labels": {"flowmaster.ai/canary-of": "api"}},
        "spec": {"selector": {"app": "old"}, "ports": [{"port": 1}]},
    }
    room.create("services", left)
    a_canary(room)
    own = room.get("services", "api-canary")["spec"]
    assert own["selector"] == {"app": "api-canary", "tier": "backend-canary"}


def test_a_service_of_somebody_else_is_left_alone(room: Namespace) -> None:
    port = {"port": 80}
    body = {"metadata": {"name": "api-canary"}, "spec": {"selector": {"a": "b"}, "ports": [port]}}
    room.create("services", {"apiVersion": "v1", "kind": "Service", **body})
    with pytest.raises(Refused, match="Service api-canary in namespace"):
        a_canary(room)
    assert room.cluster.canaries() == {}
    assert room.get("services", "api-canary")["spec"]["selector"] == {"a": "b"}


def test_a_canary_by_weights_needs_a_service_to_copy(target: Target) -> None:
    with namespace(target, Traffic.AUTO) as room:
        room.deploy(a_reference(), replicas=1)
        with pytest.raises(NotFound, match="no Kubernetes Service selects the pods of api"):
            a_canary(room)
        assert room.cluster.canaries() == {}
