"""Kubernetes' JSON to nouns."""

from __future__ import annotations

from typing import Any

import pytest

from flowmaster_delivery.adapters.kubernetes.shapes import deployment_of, is_over, pod, workload
from flowmaster_delivery.model.rollout import PodProblem

DIGEST = f"sha256:{'a' * 64}"


def a_deployment(status: dict[str, Any], **meta: Any) -> dict[str, Any]:
    base = {"name": "api", "namespace": "dev", "uid": "u", "resourceVersion": "1", **meta}
    spec = {"template": {"spec": {"containers": [{"name": "api", "image": "i"}]}}}
    return {"metadata": base, "spec": spec, "status": status}


def a_pod(
    container: dict[str, Any] | None = None, image: str = "r/api:v1", **status: Any
) -> dict[str, Any]:
    meta = {
        "name": "api-7d9f-x",
        "labels": {"pod-template-hash": "7d9f"},
        "ownerReferences": [{"kind": "ReplicaSet", "controller": True, "name": "api-7d9f"}],
    }
    statuses = [{"name": "api", **container}] if container else []
    spec = {"containers": [{"name": "api", "image": image}]}
    return {"metadata": meta, "spec": spec, "status": {"containerStatuses": statuses, **status}}


def problems(container: dict[str, Any] | None = None, **status: Any) -> list[PodProblem]:
    return list(pod(a_pod(container, **status), "api").problems)


def test_a_deployment_that_no_controller_has_seen_yet_has_nothing() -> None:
    found = workload(a_deployment({}), [])
    assert (found.desired, found.updated, found.total, found.available) == (1, 0, 0, 0)
    assert (found.revision, found.observed_generation, found.template_hash) == (0, 0, None)


def replica_set(revision: str, mark: str, uid: str = "u") -> dict[str, Any]:
    owner = {"kind": "Deployment", "controller": True, "uid": uid}
    return {
        "metadata": {
            "labels": {"pod-template-hash": mark},
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [owner],
        }
    }


def test_the_newest_template_is_that_of_the_deployments_own_revision() -> None:
    meta = {"annotations": {"deployment.kubernetes.io/revision": "10"}}
    sets = [replica_set("9", "old"), replica_set("10", "alien", uid="x"), replica_set("10", "new")]
    assert workload(a_deployment({}, **meta), sets).template_hash == "new"
    assert workload(a_deployment({}, **meta), sets[:2]).template_hash is None


def test_conditions_are_kept_whole() -> None:
    conditions = [
        {
            "type": "Progressing",
            "status": "False",
            "reason": "R",
            "message": "M",
            "lastUpdateTime": "T",
        },
        {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
    ]
    found = workload(a_deployment({"conditions": conditions}), [])
    assert found.progressing is not None
    assert (found.progressing.reason, found.progressing.updated) == ("R", "T")
    assert found.replica_failure == "exceeded quota"


def test_other_managers_of_an_image_are_named_and_we_are_not() -> None:
    containers: dict[str, Any] = {'k:{"name":"api"}': {"f:image": {}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}}
    managed = [
        {"manager": "argocd-controller", "fieldsV1": fields},
        {"manager": "flowmaster", "fieldsV1": fields},
        {"manager": "kube-controller-manager", "fieldsV1": {"f:status": {}}},
    ]
    found = workload(a_deployment({}, managedFields=managed), [])
    assert found.image_owners == ("argocd-controller",)


def test_a_pod_belongs_to_the_deployment_that_its_replica_set_is_named_after() -> None:
    assert deployment_of(a_pod()) == "api"
    job = a_pod()
    job["metadata"]["ownerReferences"][0]["kind"] = "Job"
    assert deployment_of(job) is None
    bare = a_pod()
    bare["metadata"]["labels"] = {}
    assert deployment_of(bare) is None


@pytest.mark.parametrize(
    ("container", "image", "digest"),
    [
        ({"imageID": f"docker-pullable://r/api@{DIGEST}"}, "r/api:v1", DIGEST),
        ({"imageID": f"r/api@{DIGEST}"}, "r/api:v1", DIGEST),
        (
            {"imageID": "docker://sha256:config", "state": {"running": {}}},
            f"r/api@{DIGEST}",
            DIGEST,
        ),
        ({"imageID": "docker://sha256:config", "state": {"running": {}}}, "r/api:v1", None),
        ({"imageID": "", "state": {"waiting": {}}}, f"r/api@{DIGEST}", None),
    ],
)
def test_what_really_runs_is_told_by_the_image_id(
    container: dict[str, Any], image: str, digest: str | None
) -> None:
    assert pod(a_pod(container, image), "api").digest == digest


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_container_that_is_being_set_up_has_no_problem(reason: str) -> None:
    assert problems({"state": {"waiting": {"reason": reason}}}) == []


def test_a_waiting_container_says_why_with_how_it_ended_before() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}
    [found] = problems({"state": waiting, "lastState": last, "restartCount": 3})
    assert (found.reason, found.restarts, found.exit_code) == ("CrashLoopBackOff", 3, 137)
    assert found.message == "back-off 20s; it ended with exit code 137 (OOMKilled)"


def test_a_container_between_two_starts_is_seen() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "panic"}}
    [stopped] = problems({"state": ended, "restartCount": 1})
    [again] = problems({"state": {"running": {}}, "lastState": ended, "restartCount": 2})
    assert (stopped.reason, stopped.exit_code) == ("Error", 1)
    assert (again.reason, again.restarts) == ("Error", 2)
    assert "panic" in again.message


def test_a_ready_container_that_once_fell_over_has_no_problem() -> None:
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    assert problems({"state": {"running": {}}, "lastState": last, "ready": True}) == []


def test_an_init_container_counts_and_a_completed_one_does_not() -> None:
    failing = {"name": "init", "state": {"waiting": {"reason": "ErrImagePull", "message": "m"}}}
    done = {"name": "init", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert [p.container for p in problems(initContainerStatuses=[failing])] == ["init"]
    assert problems(initContainerStatuses=[done]) == []


def test_a_pod_that_finds_no_node_says_so() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3",
    }
    assert problems(conditions=[condition]) == [
        PodProblem("api-7d9f-x", "", "Unschedulable", "0/3")
    ]


@pytest.mark.parametrize(
    ("phase", "over"), [("Failed", True), ("Succeeded", True), ("Running", False)]
)
def test_pods_that_have_ended_for_good_are_over(phase: str, over: bool) -> None:
    assert is_over(a_pod(phase=phase)) is over


def test_a_pod_that_is_ending_is_marked() -> None:
    raw = a_pod()
    raw["metadata"]["deletionTimestamp"] = "2026-11-23T06:00:00Z"
    assert pod(raw, "api").terminating
