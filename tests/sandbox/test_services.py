"""The services of the sandbox answer by what runs and by what they were told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from flowmaster_delivery.sandbox.figures import Load
from flowmaster_delivery.sandbox.orders import Behaviours, ServiceBehaviour
from flowmaster_delivery.sandbox.services import REFUSED, Services
from flowmaster_delivery.sandbox.traffic import Traffic

OLD, NEW = (
    "127.0.0.1:5000/fm/p/api@sha256:" + "a" * 64,
    "127.0.0.1:5000/fm/p/api@sha256:" + "b" * 64,
)
SINCE = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Pod:
    name: str
    image: str = OLD
    ready: bool = True
    since: datetime = SINCE

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]


@dataclass(frozen=True)
class Backend:
    weight: int
    pods: tuple[Pod, ...]


@dataclass
class Cluster:
    pods: dict[tuple[str, str], list[Pod]] = field(default_factory=dict)

    def running(self, namespace: str, workload: str) -> list[Pod]:
        return self.pods.get((namespace, workload), [])

    def backends(self, namespace: str, workload: str) -> list[Backend]:
        found = [*self.running(namespace, workload), *self.running(namespace, f"{workload}-canary")]
        return [Backend(1, tuple(found))] if (namespace, workload) in self.pods else []


class World:
    """One service in dev, and all that tells how it answers."""

    def __init__(self) -> None:
        self.cluster = Cluster({("fm-dev", "api"): [Pod("api-1"), Pod("api-2")]})
        self.behaviours = Behaviours()
        self.traffic = Traffic(self.loads)
        self.services = Services(
            self.cluster.running,
            self.cluster.backends,
            self.behaviours,
            self.traffic,
            {"dev": "fm-dev"},
            {"gateway": "api"},
        )

    def loads(self) -> list[Load]:
        found = self.cluster.pods.items()
        return [Load(*k, p.name, p.ready, 0.0, 0.0, 503) for k, pods in found for p in pods]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World, client_of: Callable[..., Any]) -> Any:
    return client_of(world.services.app)


def test_a_running_service_says_which_image_answers(client: Any) -> None:
    answer = client.get("/dev/api/health")
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["digest"]) == ("ok", "sha256:" + "a" * 64)


def test_a_service_is_found_by_its_own_name_where_the_workload_has_another(client: Any) -> None:
    assert client.get("/dev/gateway/health").json()["service"] == "api"


def test_ready_pods_take_turns(client: Any) -> None:
    assert {client.get("/dev/api/health").json()["pod"] for _ in range(2)} == {"api-1", "api-2"}


def test_only_ready_pods_are_asked(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("old"), Pod("new", NEW, ready=False)]
    assert {client.get("/dev/api/health").json()["pod"] for _ in range(4)} == {"old"}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/dev/nothing/health", 404), ("/prod/api/health", 404), ("/dev/api", 200), ("/dev", 404)],
)
def test_what_does_not_run_is_not_found(client: Any, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_a_service_without_ready_pods_is_unavailable(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("new", NEW, ready=False)]
    assert client.get("/dev/api/health").status_code == 503


def test_a_service_whose_pods_have_all_crashed_is_unavailable_and_not_unknown(
    world: World, client: Any
) -> None:
    world.cluster.pods["fm-dev", "api"] = []
    assert client.get("/dev/api/health").status_code == 503


def test_a_service_that_is_down_refuses_though_its_pods_are_not_ready(
    world: World, client: Any
) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("only", ready=False)]
    world.behaviours.set_service(ServiceBehaviour(down=True))
    with pytest.raises(ConnectionAbortedError):
        client.get("/dev/api/health")


def test_what_a_canary_answers_counts_for_its_service(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api-canary"] = [Pod("api-canary-1", NEW)]
    seen = [client.get("/dev/api/health").json() for _ in range(6)]
    assert [one["pod"] for one in seen].count("api-canary-1") == 2
    assert {one["service"] for one in seen} == {"api"}
    answers = [world.services.answer("fm-dev", "api-canary", "api-canary-1", "/health")[0]]
    text = client.get("/dev/api/metrics").text
    labels = 'code="200",namespace="fm-dev",pod="api-canary-1",service="api"'
    assert (answers, f"http_requests_total{{{labels}}} 3\n" in text) == ([200], True)


def test_an_answer_is_counted_with_the_time_it_took(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("only")]
    world.behaviours.set_service(ServiceBehaviour(delay=0.01))
    client.get("/dev/api/health")
    text = client.get("/dev/api/metrics").text
    assert "# TYPE http_request_duration_seconds histogram" in text
    for bound, count in (("0.01", None), ("0.025", 1), ("+Inf", 1)):
        labels = f'le="{bound}",namespace="fm-dev",pod="only",service="api"'
        line = f"http_request_duration_seconds_bucket{{{labels}}} {count}\n"
        assert (line in text) == (count is not None)


def test_a_quarter_of_the_requests_fails_when_told_so(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("only")]
    world.behaviours.set_service(ServiceBehaviour(failure_rate=0.25, status=500), workload="api")
    seen = [client.get("/dev/api/health").status_code for _ in range(8)]
    assert seen == [200, 200, 200, 500] * 2


def test_only_the_image_that_was_told_so_fails(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("old"), Pod("new", NEW)]
    world.behaviours.set_service(ServiceBehaviour(failure_rate=1), image="*@sha256:bbbb*")
    seen = {client.get("/dev/api/health").json()["pod"]: None for _ in range(4)}
    answers = [world.services.answer("fm-dev", "api", pod, "/health")[0] for pod in sorted(seen)]
    assert answers == [503, 200]


def test_a_service_that_is_down_cuts_the_connection(world: World, client: Any) -> None:
    world.behaviours.set_service(ServiceBehaviour(down=True))
    assert world.services.answer("fm-dev", "api", "api-1", "/health")[0] == REFUSED
    with pytest.raises(ConnectionAbortedError):
        client.get("/dev/api/health")


def test_a_pod_that_is_not_there_refuses(world: World) -> None:
    assert world.services.answer("fm-dev", "api", "gone", "/health")[0] == REFUSED


def test_the_newest_order_wins_and_can_be_taken_back(world: World) -> None:
    world.behaviours.set_service(ServiceBehaviour(failure_rate=1), workload="a*")
    world.behaviours.set_service(ServiceBehaviour(delay=3), workload="api")
    assert world.behaviours.service("fm-dev", "api", OLD).delay == 3
    world.behaviours.forget("api")
    assert world.behaviours.service("fm-dev", "api", OLD).failure_rate == 1
    world.behaviours.forget()
    assert world.behaviours.service("fm-dev", "api", OLD) == ServiceBehaviour()


def test_metrics_are_in_prometheus_own_format(world: World, client: Any) -> None:
    world.cluster.pods["fm-dev", "api"] = [Pod("only")]
    client.get("/dev/api/health")
    text = client.get("/dev/api/metrics").text
    assert "# TYPE http_requests_total counter" in text
    labels = 'code="200",namespace="fm-dev",pod="only",service="api"'
    assert f"http_requests_total{{{labels}}} 1\n" in text
    assert "\nup{" not in text
    assert "http_requests_total{" not in client.get("/prod/api/metrics").text
    assert client.get("/metrics").text == text
