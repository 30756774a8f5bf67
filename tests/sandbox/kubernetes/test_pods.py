"""Pods: what a kubelet would say while they start, fail, restart and end."""

from __future__ import annotations

from flowmaster_delivery.sandbox.kubernetes.kinds import EVENTS, PODS
from tests.sandbox.kubernetes.lab import Lab, deployment, digest_of


def ready(lab: Lab, image: str) -> bool:
    return any(
        (c["type"], c["status"]) == ("Ready", "True")
        for c in lab.pod(image)["status"]["conditions"]
    )


def test_a_pod_is_created_runs_and_is_ready_when_its_order_says(lab: Lab) -> None:
    lab.order("ready", after=3.0)
    lab.apply(deployment(replicas=1))
    assert lab.container("shop/web:1")["state"]["waiting"]["reason"] == "ContainerCreating"
    lab.advance(1)
    assert lab.pod("shop/web:1")["status"]["phase"] == "Running"
    assert not ready(lab, "shop/web:1")
    lab.advance(2)
    assert ready(lab, "shop/web:1")


def test_the_image_id_carries_the_digest_that_really_runs(lab: Lab) -> None:
    lab.apply(deployment(replicas=1, image="127.0.0.1:5000/shop/web:1"), 2)
    image = "127.0.0.1:5000/shop/web"
    assert lab.container(f"{image}:1")["imageID"] == f"{image}@{digest_of(f'{image}:1')}"


def test_an_image_that_the_registry_does_not_have_is_not_pulled(lab: Lab) -> None:
    lab.images.missing.add("shop/web:9")
    lab.apply(deployment(replicas=1, image="shop/web:9"), 0.3)
    waiting = lab.container("shop/web:9")["state"]["waiting"]
    assert waiting["reason"] == "ErrImagePull"
    assert "shop/web:9: not found" in waiting["message"]
    lab.advance(0.3)
    waiting = lab.container("shop/web:9")["state"]["waiting"]
    assert waiting["reason"] == "ImagePullBackOff"
    assert "shop/web:9: not found" in waiting["message"]
    assert lab.container("shop/web:9")["imageID"] == ""
    assert lab.pod("shop/web:9")["status"]["phase"] == "Pending"


def test_an_image_that_appears_later_is_pulled_then(lab: Lab) -> None:
    lab.images.missing.add("shop/web:9")
    lab.apply(deployment(replicas=1, image="shop/web:9"), 10)
    lab.images.missing.clear()
    lab.advance(3)
    assert ready(lab, "shop/web:9")


def test_an_image_on_the_node_runs_without_the_registry(lab: Lab) -> None:
    lab.apply(deployment(), 2)
    lab.set_image("shop/web:2", 5)
    lab.images.missing |= {"shop/web:1", "shop/proxy:1"}
    lab.set_image("shop/web:1", 5)
    assert ready(lab, "shop/web:1")


def test_the_registry_s_own_words_are_shown_for_a_refused_pull(lab: Lab) -> None:
    lab.order("image_pull", "shop/web:1", message="401 Unauthorized: pull access denied")
    lab.apply(deployment(replicas=1), 5)
    assert "pull access denied" in lab.container("shop/web:1")["state"]["waiting"]["message"]


def test_a_crashing_container_restarts_ever_more_slowly(lab: Lab) -> None:
    lab.order("crash", "shop/web:1", message="panic: no database")
    lab.apply(deployment(replicas=1), 0.6)
    first = lab.container("shop/web:1")
    assert first["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert first["lastState"]["terminated"]["exitCode"] == 1
    assert first["lastState"]["terminated"]["message"] == "panic: no database"
    lab.advance(6)
    assert lab.container("shop/web:1")["restartCount"] == 3
    lab.advance(60)
    assert 5 <= lab.container("shop/web:1")["restartCount"] <= 8


def test_a_container_out_of_memory_is_killed_with_137(lab: Lab) -> None:
    lab.order("oom", "shop/web:1")
    lab.apply(deployment(replicas=1), 3)
    terminated = lab.container("shop/web:1")["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled")


def test_a_missing_secret_is_named(lab: Lab) -> None:
    lab.order("config_error", "shop/web:1", message='secret "stripe" not found')
    lab.apply(deployment(replicas=1), 3)
    waiting = lab.container("shop/web:1")["state"]["waiting"]
    assert waiting == {
        "reason": "CreateContainerConfigError",
        "message": 'secret "stripe" not found',
    }


def test_a_pod_that_fits_nowhere_waits_until_it_does(lab: Lab) -> None:
    lab.order("unschedulable", "shop/web:1", message="0/3 nodes are available")
    lab.apply(deployment(replicas=1), 5)
    pod = lab.pod("shop/web:1")
    (condition,) = pod["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("PodScheduled", "Unschedulable")
    assert condition["message"] == "0/3 nodes are available"
    assert "nodeName" not in pod["spec"]
    assert [e["reason"] for e in lab.store.all(EVENTS)].count("FailedScheduling") == 1
    lab.order("ready", "shop/web:1")
    lab.advance(3)
    assert ready(lab, "shop/web:1")


def test_one_container_that_is_not_ready_keeps_the_pod_from_it(lab: Lab) -> None:
    lab.order("never_ready", "shop/proxy:1")
    lab.apply(deployment(replicas=1), 5)
    assert lab.container("shop/web:1")["ready"]
    assert not ready(lab, "shop/web:1")


def test_a_running_pod_follows_new_orders_and_recovers(lab: Lab) -> None:
    lab.apply(deployment(replicas=1), 2)
    lab.order("never_ready", "shop/web:1")
    lab.sandbox.behaviours_changed()
    lab.advance(1)
    assert not ready(lab, "shop/web:1")
    assert "running" in lab.container("shop/web:1")["state"]
    lab.order("ready", "shop/web:1")
    lab.sandbox.behaviours_changed()
    lab.advance(1)
    assert ready(lab, "shop/web:1")


def test_a_pod_that_is_to_go_is_terminating_for_a_moment(lab: Lab) -> None:
    lab.apply(deployment(replicas=1), 2)
    old = lab.pods()[0]["metadata"]["name"]
    lab.resources.delete(PODS, "default", old)
    lab.advance(0.1)
    pods = {p["metadata"]["name"]: p["metadata"] for p in lab.pods()}
    assert pods[old]["deletionGracePeriodSeconds"] == 30
    assert "deletionTimestamp" in pods[old]
    assert old not in {pod.name for pod in lab.sandbox.running("default", "web")}
    lab.advance(0.3)
    assert old not in {p["metadata"]["name"] for p in lab.pods()}


def test_deleting_without_grace_ends_a_pod_at_once(lab: Lab) -> None:
    lab.apply(deployment(replicas=1), 2)
    old = lab.pods()[0]["metadata"]["name"]
    _, gone = lab.resources.delete(PODS, "default", old, grace=0)
    assert gone
    assert old not in {p["metadata"]["name"] for p in lab.pods()}


def test_running_pods_are_told_by_workload_with_digest_and_readiness(lab: Lab) -> None:
    lab.order("never_ready", "shop/web:2")
    lab.apply(deployment(), 2)
    lab.set_image("shop/web:2", 2)
    running = lab.sandbox.running("default", "web")
    assert sorted((pod.image, pod.ready) for pod in running) == [
        ("shop/web:1", True),
        ("shop/web:1", True),
        ("shop/web:2", False),
    ]
    assert {pod.digest for pod in running} == {digest_of("shop/web:1"), digest_of("shop/web:2")}
    assert len({pod.template_hash for pod in running}) == 2
    assert lab.sandbox.running("default", "other") == []


def test_a_warning_that_repeats_is_counted_not_repeated(lab: Lab) -> None:
    lab.images.missing.add("shop/web:9")
    lab.apply(deployment(replicas=1, image="shop/web:9"), 30)
    failed = [e for e in lab.store.all(EVENTS) if e["reason"] == "Failed"]
    assert len(failed) == 1
    assert failed[0]["count"] > 2
    assert failed[0]["type"] == "Warning"
