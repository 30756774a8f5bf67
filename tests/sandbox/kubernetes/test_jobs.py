"""Jobs: tries until one succeeds, or no more of them."""

from __future__ import annotations

from flowmaster_delivery.sandbox.kubernetes.kinds import JOBS, PODS
from tests.sandbox.kubernetes.lab import Lab, job


def verdict(lab: Lab) -> tuple[str, str] | None:
    conditions = lab.job()["status"].get("conditions")
    return (conditions[0]["type"], conditions[0]["reason"]) if conditions else None


def test_a_job_is_complete_when_its_pod_has_succeeded(lab: Lab) -> None:
    lab.order("ready", after=2.0)
    lab.apply(job(), 1)
    assert lab.job()["status"]["active"] == 1
    assert verdict(lab) is None
    lab.advance(2)
    assert verdict(lab) == ("Complete", "CompletionsReached")
    assert lab.job()["status"]["succeeded"] == 1
    assert "active" not in lab.job()["status"]
    assert [p["status"]["phase"] for p in lab.pods()] == ["Succeeded"]


def test_a_job_whose_pods_crash_fails_after_its_tries(lab: Lab) -> None:
    lab.order("crash", message="relation already exists")
    lab.apply(job(backoffLimit=2), 30)
    assert verdict(lab) == ("Failed", "BackoffLimitExceeded")
    assert lab.job()["status"]["failed"] == 3
    state = lab.pods()[0]["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 1
    assert state["terminated"]["message"] == "relation already exists"


def test_a_job_beyond_its_deadline_fails_and_ends_its_pods(lab: Lab) -> None:
    lab.order("ready", after=600)
    lab.apply(job(activeDeadlineSeconds=5), 7)
    assert verdict(lab) == ("Failed", "DeadlineExceeded")
    assert lab.pods() == []


def test_a_finished_job_goes_when_its_time_is_over(lab: Lab) -> None:
    lab.apply(job(ttlSecondsAfterFinished=10), 5)
    assert verdict(lab) == ("Complete", "CompletionsReached")
    lab.advance(10)
    assert (lab.store.all(JOBS), lab.store.all(PODS)) == ([], [])


def test_a_job_that_cannot_pull_its_image_waits(lab: Lab) -> None:
    lab.images.missing.add("shop/migrate:1")
    lab.apply(job(), 20)
    assert verdict(lab) is None
    waiting = lab.container("shop/migrate:1")["state"]["waiting"]
    assert waiting["reason"] in ("ErrImagePull", "ImagePullBackOff")
