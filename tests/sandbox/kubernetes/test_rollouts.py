"""Deployments: what their status says while pods are replaced, and when they are not."""

from __future__ import annotations

import pytest

from flowmaster_delivery.sandbox.kubernetes.kinds import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS
from flowmaster_delivery.sandbox.kubernetes.store import Change
from tests.sandbox.kubernetes.lab import Lab, deployment

TIMED_OUT = "ProgressDeadlineExceeded"


def test_a_new_deployment_becomes_available(lab: Lab) -> None:
    lab.apply(deployment())
    assert lab.condition("Available")["status"] == "False"
    assert lab.condition("Progressing")["reason"] == "ReplicaSetUpdated"
    lab.advance(1)
    status = lab.deployment()["status"]
    assert (status["readyReplicas"], status["availableReplicas"], status["updatedReplicas"]) == (
        2,
        2,
        2,
    )
    assert "unavailableReplicas" not in status
    assert lab.condition("Progressing")["reason"] == "NewReplicaSetAvailable"
    assert status["observedGeneration"] == lab.deployment()["metadata"]["generation"] == 1


def test_a_new_image_replaces_the_pods_one_by_one(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    counts: list[tuple[int, int]] = []

    def count(change: Change) -> None:
        active = [p for p in lab.pods() if "deletionTimestamp" not in p["metadata"]]
        ready = [p for p in active if p["status"].get("containerStatuses", [{}])[0].get("ready")]
        counts.append((len(active), len(ready)))

    lab.store.subscribe(count)
    lab.set_image("shop/web:2", 5)
    assert max(active for active, _ in counts) == 3
    assert min(ready for _, ready in counts) == 2
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods()} == {"shop/web:2"}
    assert {p["spec"]["containers"][1]["image"] for p in lab.pods()} == {"shop/proxy:1"}


def test_old_pods_stay_while_the_new_ones_do_not_get_ready(lab: Lab) -> None:
    lab.order("never_ready", "shop/web:2")
    lab.apply(deployment(), 2)
    lab.set_image("shop/web:2", 60)
    assert lab.revisions() == {1: 2, 2: 1}
    assert lab.deployment()["status"]["availableReplicas"] == 2
    assert lab.condition("Available")["status"] == "True"


def test_undo_gives_the_old_template_a_new_number(lab: Lab) -> None:
    """A real cluster shows revisions 2 and 3 after an undo: number 1 is gone."""
    lab.apply(deployment(), 2)
    lab.set_image("shop/web:2", 5)
    lab.set_image("shop/web:1", 5)
    assert lab.revisions() == {2: 0, 3: 2}
    rs = next(r for r in lab.store.all(REPLICA_SETS) if r["spec"]["replicas"])
    assert rs["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert lab.deployment()["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


@pytest.mark.parametrize(
    "noise",
    [
        {"metadata": {"creationTimestamp": None}},
        {"spec": {"containers": [{"name": "web", "resources": {}}]}},
        {"spec": {"containers": [{"name": "web", "env": []}], "volumes": None}},
        {"spec": {"restartPolicy": "Always"}},
    ],
)
def test_a_template_that_means_the_same_is_no_new_revision(
    lab: Lab, noise: dict[str, object]
) -> None:
    lab.apply(deployment(), 2)
    lab.patch({"spec": {"template": noise}}, 2)
    assert lab.revisions() == {1: 2}
    assert lab.deployment()["metadata"]["generation"] == 1


def test_annotations_count_as_a_generation_labels_and_status_do_not(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    generation = lab.deployment()["metadata"]["generation"]
    lab.patch({"metadata": {"labels": {"a": "b"}}}, 1)
    assert lab.deployment()["metadata"]["generation"] == generation
    lab.patch({"metadata": {"annotations": {"a": "b"}}}, 1)
    assert lab.deployment()["metadata"]["generation"] == generation + 1
    assert lab.deployment()["status"]["observedGeneration"] == generation + 1


def test_a_rollout_beyond_its_deadline_says_so(lab: Lab) -> None:
    lab.order("crash", "shop/web:2")
    lab.apply(deployment(progressDeadlineSeconds=10), 2)
    lab.set_image("shop/web:2", 9)
    assert lab.condition("Progressing")["reason"] == "ReplicaSetUpdated"
    lab.advance(3)
    late = lab.condition("Progressing")
    assert (late["status"], late["reason"]) == ("False", TIMED_OUT)
    assert "has timed out progressing" in late["message"]


def test_a_rollback_may_show_the_old_timeout_for_one_step(lab: Lab) -> None:
    """The trap of reference kubernetes §1.2: new observedGeneration beside the stale condition."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    lab.order("never_ready", "shop/web:2")
    lab.apply(deployment(replicas=1, progressDeadlineSeconds=5, strategy=rolling), 2)
    lab.set_image("shop/web:2", 10)
    stale = lab.condition("Progressing")
    assert stale["reason"] == TIMED_OUT
    seen: list[tuple[int, str]] = []

    def note(change: Change) -> None:
        if change.kind.kind == "Deployment":
            status = change.item["status"]
            reasons = {c["type"]: c["reason"] for c in status["conditions"]}
            seen.append((status["observedGeneration"], reasons["Progressing"]))

    lab.store.subscribe(note)
    generation = lab.set_image("shop/web:1")["metadata"]["generation"]
    assert (generation, TIMED_OUT) in seen
    lab.advance(3)
    assert lab.condition("Progressing")["reason"] == "NewReplicaSetAvailable"
    assert lab.condition("Progressing")["lastUpdateTime"] != stale["lastUpdateTime"]


def test_a_crash_after_completion_does_not_touch_progressing(lab: Lab) -> None:
    lab.apply(deployment(progressDeadlineSeconds=5), 2)
    lab.order("crash", "shop/web:1")
    lab.sandbox.behaviours_changed()
    lab.advance(20)
    assert lab.condition("Progressing")["reason"] == "NewReplicaSetAvailable"
    assert lab.condition("Available")["status"] == "False"


def test_a_paused_deployment_scales_but_does_not_roll(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    lab.patch({"spec": {"paused": True}}, 1)
    assert lab.condition("Progressing")["reason"] == "DeploymentPaused"
    lab.set_image("shop/web:2", 3)
    lab.patch({"spec": {"replicas": 3}}, 3)
    assert lab.revisions() == {1: 3}
    lab.patch({"spec": {"paused": False}}, 8)
    assert lab.revisions() == {1: 0, 2: 3}
    assert lab.condition("Progressing")["reason"] == "NewReplicaSetAvailable"


def test_recreate_ends_all_old_pods_before_the_first_new_one(lab: Lab) -> None:
    lab.apply(deployment(strategy={"type": "Recreate"}), 2)
    together: list[set[str]] = []

    def look(change: Change) -> None:
        if change.kind is PODS:
            together.append({p["spec"]["containers"][0]["image"] for p in lab.pods()})

    lab.store.subscribe(look)
    lab.set_image("shop/web:2", 4)
    assert all(len(images) <= 1 for images in together)
    assert together[-1] == {"shop/web:2"}
    assert lab.deployment()["status"]["availableReplicas"] == 2


def test_scaling_in_the_middle_of_a_rollout_is_proportional(lab: Lab) -> None:
    lab.order("never_ready", "shop/web:2")
    lab.apply(deployment(replicas=10), 2)
    lab.set_image("shop/web:2", 5)
    assert lab.revisions() == {1: 8, 2: 5}
    lab.patch({"spec": {"replicas": 20}}, 5)
    sizes = lab.revisions()
    assert sum(sizes.values()) == 25
    assert sizes[1] > sizes[2] > 5


def test_scaling_to_nothing_is_complete_at_once(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    lab.patch({"spec": {"replicas": 0}}, 1)
    assert lab.pods() == []
    assert lab.deployment()["status"]["observedGeneration"] == 2


def test_pods_count_as_available_after_min_ready_seconds(lab: Lab) -> None:
    lab.apply(deployment(minReadySeconds=5), 3)
    status = lab.deployment()["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (2, 0)
    lab.advance(4)
    assert lab.deployment()["status"]["availableReplicas"] == 2


def test_history_beyond_its_limit_is_forgotten(lab: Lab) -> None:
    lab.apply(deployment(revisionHistoryLimit=1), 2)
    for number in range(2, 6):
        lab.set_image(f"shop/web:{number}", 5)
    assert lab.revisions() == {4: 0, 5: 2}


def test_pods_that_may_not_be_made_are_a_replica_failure(lab: Lab) -> None:
    template = {"spec": {"serviceAccountName": "nobody"}}
    lab.apply(deployment(), 2)
    lab.patch({"spec": {"template": template}}, 1)
    failure = lab.condition("ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert 'serviceaccount "nobody" not found' in failure["message"]
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    lab.apply(account, 8)
    assert lab.deployment()["status"]["updatedReplicas"] == 2
    assert all(c["type"] != "ReplicaFailure" for c in lab.deployment()["status"]["conditions"])


def test_a_deleted_pod_is_replaced(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    gone = lab.pods()[0]["metadata"]["name"]
    lab.resources.delete(PODS, "default", gone)
    lab.advance(2)
    assert len(lab.pods()) == 2
    assert gone not in {p["metadata"]["name"] for p in lab.pods()}


def test_a_deleted_deployment_takes_its_pods_along(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    lab.resources.delete(DEPLOYMENTS, "default", "web")
    lab.advance(2)
    assert (lab.pods(), lab.store.all(REPLICA_SETS)) == ([], [])


def test_scaling_is_told_as_events(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    said = [e["message"] for e in lab.store.all(EVENTS) if e["reason"] == "ScalingReplicaSet"]
    assert len(said) == 1
    assert said[0].endswith("from 0 to 2")


def test_a_settled_cluster_has_nothing_to_do(lab: Lab) -> None:
    lab.apply(deployment(), 5)
    version = lab.store.version
    assert lab.sandbox.loop.settle() is None
    lab.advance(3600)
    assert lab.store.version == version


RECORDED = (
    (1, None, None, None, None, None, None),
    (1, None, None, None, None, "NewReplicaSetCreated", "1"),
    (1, 1, None, None, None, "NewReplicaSetCreated", "1"),
    (1, 1, 1, 1, None, "ReplicaSetUpdated", "1"),
    (1, 1, 1, 1, 1, "NewReplicaSetAvailable", "1"),
    (2, 1, 1, 1, 1, "NewReplicaSetAvailable", "1"),
    (2, 1, 1, 1, 1, "NewReplicaSetCreated", "2"),
    (2, 2, 1, None, 1, "NewReplicaSetCreated", "2"),
    (2, 2, 2, 1, 1, "ReplicaSetUpdated", "2"),
    (2, 2, 2, 1, 1, TIMED_OUT, "2"),
    (3, 2, 2, 1, 1, TIMED_OUT, "2"),
    (3, 2, 2, 1, 1, TIMED_OUT, "3"),
    (3, 3, 2, 1, 1, TIMED_OUT, "3"),
    (3, 3, 1, 1, 1, "NewReplicaSetAvailable", "3"),
)
"""What a watch on a real cluster (1.20) saw: created, a bad image, its timeout, and back again.

Each line: generation, observedGeneration, replicas, updated, available, Progressing, revision.
"""


def test_a_watch_sees_step_by_step_what_it_saw_on_a_real_cluster(lab: Lab) -> None:
    seen: list[tuple[object, ...]] = []

    def note(change: Change) -> None:
        if change.kind is not DEPLOYMENTS:
            return
        metadata, status = change.item["metadata"], change.item["status"]
        reasons = {c["type"]: c["reason"] for c in status.get("conditions", [])}
        counts = ("observedGeneration", "replicas", "updatedReplicas", "availableReplicas")
        revision = metadata.get("annotations", {}).get("deployment.kubernetes.io/revision")
        figures = (status.get(count) for count in counts)
        seen.append((metadata["generation"], *figures, reasons.get("Progressing"), revision))

    lab.store.subscribe(note)
    lab.order("never_ready", "shop/web:2")
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    lab.apply(deployment(replicas=1, progressDeadlineSeconds=3, strategy=rolling), 3)
    lab.set_image("shop/web:2", 6)
    lab.set_image("shop/web:1", 3)
    assert tuple(seen) == RECORDED
