"""What others do to a service while it is changed, on the sandbox and a real API server."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.errors import NotFound, Superseded
from tests.contracts.namespaces import (
    API,
    Namespace,
    a_digest,
    a_reference,
    await_until,
)


def test_an_autoscaler_that_writes_replicas_during_a_rollout_keeps_its_word(
    room: Namespace,
) -> None:
    before, new = room.deploy(a_reference()), a_digest()
    room.target.fare(new, "never_ready")
    room.cluster.set_image(
        API, a_reference(new), resource_version=before.resource_version, annotations={}
    )
    await_until(lambda: room.cluster.workload(API).updated > 0)
    room.merge("deployments", "api", {"spec": {"replicas": 4}})
    await_until(lambda: room.cluster.workload(API).available >= 3)
    live = room.cluster.workload(API)
    assert (live.desired, live.images["app"]) == (4, a_reference(new))


def test_an_autoscaler_that_writes_replicas_before_our_write_makes_it_be_read_again(
    room: Namespace,
) -> None:
    before, new = room.deploy(a_reference()), a_reference()
    room.merge("deployments", "api", {"spec": {"replicas": 3}})
    with pytest.raises(Superseded):
        room.cluster.set_image(API, new, resource_version=before.resource_version, annotations={})
    again = room.await_available(API, 3)
    after = room.cluster.set_image(
        API, new, resource_version=again.resource_version, annotations={}
    )
    assert (after.desired, after.images["app"]) == (3, new)


def test_a_deployment_that_is_deleted_under_us_is_not_there(room: Namespace) -> None:
    before = room.deploy(a_reference())
    room.api.once("DELETE", room.path("deployments", "api"))
    with pytest.raises(NotFound):
        room.cluster.set_image(
            API, a_reference(), resource_version=before.resource_version, annotations={}
        )
    with pytest.raises(NotFound):
        room.cluster.workload(API)


def test_a_deployment_that_was_made_anew_is_another_one(room: Namespace) -> None:
    before = room.deploy(a_reference())
    room.api.once("DELETE", room.path("deployments", "api"))
    after = room.deploy(a_reference())
    assert after.uid != before.uid
    with pytest.raises(Superseded):
        room.cluster.set_image(
            API, a_reference(), resource_version=before.resource_version, annotations={}
        )
    assert room.cluster.workload(API).images == after.images


def test_a_canary_that_somebody_deletes_is_not_there_and_its_removal_is_nothing(
    room: Namespace,
) -> None:
    room.deploy(a_reference())
    made = room.cluster.create_canary(API, a_reference(), pods=1, annotations={})
    room.api.once("DELETE", room.path("deployments", "api-canary"))
    with pytest.raises(NotFound):
        room.cluster.scale(API.canary, 2, resource_version=made.resource_version, annotations={})
    room.cluster.remove(API.canary, made.uid)
    assert room.cluster.canaries() == {}


def test_a_canary_whose_pods_are_denied_says_why_and_the_service_runs_on(room: Namespace) -> None:
    room.deploy(a_reference())
    deny_pods(room)
    room.cluster.create_canary(API, a_reference(), pods=1, annotations={})
    await_until(lambda: room.cluster.workload(API.canary).replica_failure is not None)
    failure = room.cluster.workload(API.canary).replica_failure
    assert failure is not None
    assert "is forbidden" in failure
    assert room.cluster.workload(API).available == 2


def deny_pods(room: Namespace) -> None:
    """By a quota that is used up; in the sandbox, by an account that is not there."""
    if not room.target.real:
        spec = {"serviceAccountName": "ghost"}
        room.merge("deployments", "api", {"spec": {"template": {"spec": spec}}})
        return
    meta = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    room.create("resourcequotas", {**meta, "spec": {"hard": {"pods": "2"}}})
    status = {"status": {"hard": {"pods": "2"}, "used": {"pods": "2"}}}
    room.merge("resourcequotas", "few/status", status)


def test_pods_that_a_drained_node_loses_come_again_in_another_place(room: Namespace) -> None:
    room.deploy(a_reference())
    before = {pod.name for pod in room.cluster.pods(API)}
    for name in before:
        room.api.once("DELETE", room.path("pods", name))
    await_until(lambda: not before & {p.name for p in room.cluster.pods(API) if not p.terminating})
    after = room.await_available(API, 2)
    assert (after.revision, after.replica_failure) == (1, None)


def test_a_canary_loses_a_pod_and_gets_another_one(room: Namespace) -> None:
    room.deploy(a_reference())
    made = room.cluster.create_canary(API, a_reference(), pods=1, annotations={})
    room.await_available(API.canary, 1)
    [lost] = room.cluster.pods(API.canary)
    room.api.once("DELETE", room.path("pods", lost.name))
    await_until(lambda: any(p.ready and p.name != lost.name for p in room.cluster.pods(API.canary)))
    assert room.cluster.workload(API.canary).uid == made.uid
