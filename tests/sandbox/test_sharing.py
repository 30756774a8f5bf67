"""Who gets which share of a service's requests: real ones by turns, simulated ones by rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flowmaster_delivery.sandbox.kubernetes import KubernetesSandbox, RunningPod
from flowmaster_delivery.sandbox.kubernetes.kinds import SERVICES
from flowmaster_delivery.sandbox.loads import Loads
from flowmaster_delivery.sandbox.orders import Behaviours, PodBehaviour, ServiceBehaviour
from flowmaster_delivery.sandbox.services import Services
from flowmaster_delivery.sandbox.sharing import shares_of
from flowmaster_delivery.sandbox.traffic import Traffic

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
OLD, NEW = (f"127.0.0.1:5000/fm/api@sha256:{letter * 64}" for letter in "ab")


class EveryImage:
    """A registry that has whatever is asked for."""

    def resolve(self, reference: str) -> str | None:
        return reference.partition("@")[2]

    def push(self, *_: Any, **__: Any) -> str:
        raise AssertionError("nothing here builds images")


class World:
    """A namespace with one service: three stable pods, and what a test adds."""

    def __init__(self) -> None:
        self.now = START
        self.behaviours = Behaviours()
        self.cluster = KubernetesSandbox(
            images=EveryImage(), behaviours=self.behaviours, clock=lambda: self.now
        )
        self.apply("v1", "Namespace", "fm")
        self.apply("v1", "Service", "api", {"selector": {"app": "api"}, "ports": [{"port": 80}]})
        self.deploy("api", OLD, 3, {"app": "api"})
        self.loads = Loads(self.cluster, self.behaviours)
        traffic = Traffic(self.loads)
        backends = self.cluster.pods.backends
        self.services = Services(self.cluster.running, backends, self.behaviours, traffic, {}, {})
        self.live(3)

    def apply(self, version: str, kind: str, name: str, spec: Any = None) -> None:
        metadata = {"name": name} if kind == "Namespace" else {"name": name, "namespace": "fm"}
        manifest = {"apiVersion": version, "kind": kind, "metadata": metadata}
        self.cluster.apply(manifest | ({"spec": spec} if spec else {}))

    def deploy(self, name: str, image: str, replicas: int, labels: dict[str, str]) -> None:
        container = {
            "name": "api",
            "image": image,
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
        }
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        selector = {"matchLabels": labels}
        spec = {"replicas": replicas, "selector": selector, "template": template}
        self.apply("apps/v1", "Deployment", name, spec)

    def live(self, seconds: int) -> None:
        for _ in range(seconds * 2):
            self.cluster.loop.settle()
            self.now += timedelta(seconds=0.5)

    def canary(self) -> None:
        self.deploy("api-canary", NEW, 1, {"app": "api", "track": "canary"})
        self.live(3)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ask(world: World, client_of: Callable[..., Any]) -> Callable[[], str]:
    client = client_of(world.services.app)
    return lambda: str(client.get("/fm/api/health").json()["digest"])[7]


def test_a_canary_beside_three_stable_pods_answers_every_fourth_request(
    world: World, ask: Callable[[], str]
) -> None:
    world.canary()
    assert Counter(ask() for _ in range(20)) == {"a": 15, "b": 5}


def test_without_a_service_the_stable_selector_decides(
    world: World, ask: Callable[[], str]
) -> None:
    service = world.cluster.store.find(SERVICES, "fm", "api")
    assert service is not None
    world.cluster.store.remove(SERVICES, "fm", "api")
    world.canary()
    assert Counter(ask() for _ in range(8)) == {"a": 6, "b": 2}


def test_a_canary_that_the_service_does_not_select_gets_nothing(
    world: World, ask: Callable[[], str]
) -> None:
    world.deploy("api-canary", NEW, 1, {"app": "other"})
    world.live(3)
    assert {ask() for _ in range(8)} == {"a"}
    rates = {load.pod.startswith("api-canary"): load.rate for load in world.loads()}
    assert rates[True] == 0


def test_simulated_requests_are_those_of_the_service_spread_over_its_pods(world: World) -> None:
    world.behaviours.set_service(ServiceBehaviour(requests_per_second=100), workload="api")
    assert [load.rate for load in world.loads()] == pytest.approx([100 / 3] * 3)
    world.canary()
    assert [load.rate for load in world.loads()] == [25.0] * 4


def test_the_figures_of_a_canary_are_its_services_and_its_pod_tells_it_apart(world: World) -> None:
    world.canary()
    loads = world.loads()
    assert {load.service for load in loads} == {"api"}
    assert sum(load.pod.startswith("api-canary-") for load in loads) == 1


def test_an_order_for_an_image_follows_it_from_the_canary_to_the_stable_pods(world: World) -> None:
    world.behaviours.set_service(
        ServiceBehaviour(failure_rate=0.08), workload="api", image="*@sha256:bbb*"
    )
    world.canary()
    assert sorted(load.failure_rate for load in world.loads()) == [0, 0, 0, 0.08]
    world.deploy("api", NEW, 3, {"app": "api"})
    world.live(20)
    assert {load.failure_rate for load in world.loads()} == {0.08}


def test_a_pod_that_is_not_ready_has_no_share(world: World) -> None:
    world.behaviours.set_pod(PodBehaviour("never_ready"), workload="api", image="*@sha256:bbb*")
    world.canary()
    found = {load.pod.startswith("api-canary"): load for load in world.loads()}
    assert (found[True].up, found[True].rate) == (False, 0.0)
    assert found[False].rate == pytest.approx(400 / 3)


def test_loads_are_looked_up_again_only_when_something_changed(world: World) -> None:
    first = world.loads()
    assert world.loads() is first
    world.behaviours.set_service(ServiceBehaviour(delay=1))
    assert world.loads() is not first


def test_what_a_container_uses_is_a_share_of_its_limits(world: World) -> None:
    [use] = world.loads()[0].uses
    assert (use.cpu_limit, use.memory_limit) == (0.5, 512 * 1024 * 1024)
    assert (use.cores, use.memory) == pytest.approx((0.1, 0.4 * 512 * 1024 * 1024))


def route(*backends: tuple[str, int]) -> dict[str, Any]:
    references = [{"name": name, "port": 80, "weight": weight} for name, weight in backends]
    other = {"backendRefs": [{"name": "other", "port": 80}]}
    return {"parentRefs": [{"name": "edge"}], "rules": [other, {"backendRefs": references}]}


def test_the_weights_of_a_route_come_before_the_number_of_pods(
    world: World, ask: Callable[[], str]
) -> None:
    def direct(*backends: tuple[str, int]) -> None:
        world.apply("gateway.networking.k8s.io/v1", "HTTPRoute", "api", route(*backends))

    spec = {"selector": {"app": "apart"}, "ports": [{"port": 80}]}
    world.apply("v1", "Service", "api-canary", spec)
    world.deploy("api-canary", NEW, 1, {"app": "apart"})
    world.live(3)
    direct(("api", 90), ("api-canary", 10))
    assert Counter(ask() for _ in range(20)) == {"a": 18, "b": 2}
    assert sorted(load.rate for load in world.loads()) == pytest.approx([40, 120, 120, 120])
    direct(("api", 0), ("api-canary", 1))
    assert {ask() for _ in range(4)} == {"b"}
    direct(("api", 1))
    assert {ask() for _ in range(4)} == {"a"}


@dataclass(frozen=True)
class Weighted:
    weight: int
    pods: tuple[RunningPod, ...]


def test_weights_share_before_pods_do(world: World) -> None:
    world.canary()
    stable = tuple(world.cluster.running("fm", "api"))
    canary = tuple(world.cluster.running("fm", "api-canary"))
    shares = [share for _, share in shares_of([Weighted(90, stable), Weighted(10, canary)])]
    assert shares == pytest.approx([0.3, 0.3, 0.3, 0.1])


@pytest.mark.parametrize(
    ("weights", "expected"), [((9, 1), [0.3] * 3 + [0.1]), ((1, 0), [1 / 3] * 3)]
)
def test_the_share_of_a_backend_without_pods_is_answered_by_none(
    world: World, weights: tuple[int, int], expected: list[float]
) -> None:
    stable = tuple(world.cluster.running("fm", "api"))
    backends = [Weighted(weights[0], stable), Weighted(weights[1], ())]
    found = list(shares_of(backends))
    assert [share for _, share in found] == pytest.approx(expected)
    assert (found[-1][0] is None) == (len(found) == 4)
