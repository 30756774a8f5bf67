"""Canaries of the port `Cluster`, against the sandbox's Kubernetes and a real API server."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.errors import NotFound, Refused, Superseded
from flowmaster_delivery.model.rollout import Workload
from tests.contracts.namespaces import API, Namespace, a_digest, a_reference, await_until

OWNER = "flowmaster.ai/canary-of"
TRACK = "flowmaster.ai/track"


def a_canary(
    room: Namespace, digest: str = "", pods: int = 1, *, weighted: bool = False
) -> Workload:
    return room.cluster.create_canary(
        API,
        a_reference(digest),
        pods=pods,
        annotations={"flowmaster.ai/run": "run-1", "flowmaster.ai/gone": None},
        weighted=weighted,
    )


def test_a_canary_is_the_service_with_another_image_and_owner(room: Namespace) -> None:
    stable, new = room.deploy(a_reference()), a_digest()
    made = a_canary(room, new)
    assert made.images == {**stable.images, "app": a_reference(new)}
    assert (made.name, made.desired) == ("api-canary", 1)
    live = room.get("deployments", "api-canary")
    assert live["metadata"]["labels"][OWNER] == "api"
    assert "app.kubernetes.io/managed-by" not in live["metadata"]["labels"]
    assert live["metadata"]["annotations"].keys() <= {
        "flowmaster.ai/run",
        "deployment.kubernetes.io/revision",
    }
    template = live["spec"]["template"]["metadata"]
    assert template["labels"] == {"app": "api", "tier": "backend", TRACK: "canary", OWNER: "api"}
    assert template["annotations"] == {"prometheus.io/scrape": "true"}


def test_every_call_on_the_canary_is_a_call_on_a_service(room: Namespace) -> None:
    room.deploy(a_reference())
    new = a_digest()
    made = a_canary(room, new)
    room.cluster.wait_for_change(API.canary, made.resource_version, 5.0)
    ready = room.await_available(API.canary, 1)
    [pod] = room.cluster.pods(API.canary, ready.template_hash)
    assert (pod.ready, pod.digest) == (True, new)
    noted = room.cluster.annotate(
        API.canary, resource_version=ready.resource_version, annotations={"flowmaster.ai/x": "1"}
    )
    assert noted.annotations["flowmaster.ai/x"] == "1"
    assert {name: len(pods) for name, pods in room.cluster.all_pods().items()} == {
        "api": 2,
        "api-canary": 1,
    }


def test_the_stable_pods_are_neither_fewer_nor_others_for_a_canary(room: Namespace) -> None:
    room.deploy(a_reference())
    before = {pod.name for pod in room.cluster.pods(API)}
    made = a_canary(room, pods=2)
    room.await_available(API.canary, 2)
    stable = room.cluster.workload(API)
    assert (stable.desired, stable.total, stable.available, stable.revision) == (2, 2, 2, 1)
    assert {pod.name for pod in room.cluster.pods(API)} == before
    room.cluster.remove(API.canary, made.uid)
    await_until(lambda: not room.cluster.pods(API.canary))
    assert {pod.name for pod in room.cluster.pods(API)} == before


def test_a_canary_grows_step_by_step(room: Namespace) -> None:
    room.deploy(a_reference())
    a_canary(room)
    ready = room.await_available(API.canary, 1)
    grown = room.cluster.scale(
        API.canary,
        3,
        resource_version=ready.resource_version,
        annotations={"flowmaster.ai/step": "2"},
    )
    assert (grown.desired, grown.annotations["flowmaster.ai/step"]) == (3, "2")
    assert room.await_available(API.canary, 3).images == ready.images


def test_scaling_on_an_old_version_is_superseded(room: Namespace) -> None:
    room.deploy(a_reference())
    a_canary(room)
    ready = room.await_available(API.canary, 1)
    room.merge("deployments", "api-canary", {"metadata": {"annotations": {"x": "1"}}})
    with pytest.raises(Superseded):
        room.cluster.scale(API.canary, 2, resource_version=ready.resource_version, annotations={})
    assert room.cluster.workload(API.canary).desired == 1


def test_a_service_itself_is_neither_scaled_nor_removed(room: Namespace) -> None:
    stable = room.deploy(a_reference())
    with pytest.raises(Refused, match=r"Deployment api in namespace test-.* is no canary"):
        room.cluster.scale(API, 0, resource_version=stable.resource_version, annotations={})
    with pytest.raises(Refused, match="no canary"):
        room.cluster.remove(API, stable.uid)
    assert room.cluster.workload(API).desired == 2


def test_a_second_canary_of_a_service_is_superseded(room: Namespace) -> None:
    room.deploy(a_reference())
    first = a_canary(room)
    with pytest.raises(Superseded, match="api-canary exists already"):
        a_canary(room)
    assert room.cluster.workload(API.canary).uid == first.uid


def test_a_canary_of_a_service_that_is_not_there_is_not_made(room: Namespace) -> None:
    with pytest.raises(NotFound):
        a_canary(room)
    assert room.cluster.canaries() == {}


def test_a_canary_left_behind_is_found_and_removed(room: Namespace) -> None:
    room.deploy(a_reference())
    a_canary(room)
    room.await_available(API.canary, 1)
    [(service, left)] = room.cluster.canaries().items()
    assert service == "api"
    assert left.annotations["flowmaster.ai/run"] == "run-1"
    assert left.template_hash == room.cluster.workload(API.canary).template_hash
    room.cluster.remove(API.canary, left.uid)
    assert room.cluster.canaries() == {}
    await_until(lambda: all(not n.startswith("api-canary") for n in room.names("replicasets")))
    await_until(lambda: all(not n.startswith("api-canary") for n in room.names("pods")))


def test_removing_what_is_gone_is_nothing_and_removing_anothers_is_superseded(
    room: Namespace,
) -> None:
    room.deploy(a_reference())
    first = a_canary(room)
    room.cluster.remove(API.canary, first.uid)
    room.cluster.remove(API.canary, first.uid)
    second = a_canary(room)
    with pytest.raises(Superseded, match="another one"):
        room.cluster.remove(API.canary, first.uid)
    assert room.cluster.workload(API.canary).uid == second.uid


def test_the_service_is_promoted_while_its_canary_runs(room: Namespace) -> None:
    room.deploy(a_reference())
    new = a_digest()
    a_canary(room, new)
    room.await_available(API.canary, 1)
    stable = room.cluster.workload(API)
    room.cluster.set_image(
        API, a_reference(new), resource_version=stable.resource_version, annotations={}
    )
    await_until(lambda: room.cluster.workload(API).revision == 2)
    await_until(lambda: room.cluster.workload(API).updated == 2)
    promoted = room.await_available(API, 2)
    assert promoted.images["app"] == a_reference(new)
    assert room.cluster.workload(API.canary).available == 1
