"""Health, worst of its parts, and what is worth recording."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.model.health import HealthObservation, HealthState, ProbeResult
from flowmaster_delivery.model.rollout import Condition, Pod, PodProblem, Workload
from flowmaster_delivery.policy.health import (
    failures,
    of_answers,
    of_workload,
    running_digest,
    worth_recording,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BEAT = timedelta(minutes=10)
WELL = Workload(
    name="api",
    namespace="dev",
    uid="u1",
    resource_version="9",
    generation=4,
    observed_generation=4,
    revision=2,
    paused=False,
    desired=2,
    updated=2,
    total=2,
    available=2,
    images={"api": "r/api@sha256:1"},
    annotations={},
    template_hash="new1",
    progressing=Condition("True", "NewReplicaSetAvailable", "", "t1"),
)
STARTING = Condition("True", "ReplicaSetUpdated", "", "t1")
LOOK = HealthObservation("api", "dev", HealthState.HEALTHY, "sha256:1", "fp", NOW)


def pod(*problems: PodProblem, mark: str = "new1", digest: str | None = None) -> Pod:
    return Pod("api-x", None, not problems, mark, digest, problems)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, HealthState.HEALTHY),
        ({"available": 1, "progressing": STARTING}, HealthState.PROGRESSING),
        ({"updated": 1, "total": 3}, HealthState.PROGRESSING),
        ({"observed_generation": 3, "progressing": STARTING}, HealthState.PROGRESSING),
        ({"available": 1}, HealthState.DEGRADED),
        ({"replica_failure": "exceeded quota"}, HealthState.DEGRADED),
        ({"desired": 0, "updated": 0, "total": 0, "available": 0}, HealthState.UNKNOWN),
    ],
)
def test_what_the_cluster_says(changes: dict[str, object], state: HealthState) -> None:
    found, reason = of_workload(replace(WELL, **changes), [pod()])  # type: ignore[arg-type]
    assert found is state
    assert bool(reason) == (state is not HealthState.HEALTHY)


def test_a_crash_after_the_end_of_the_rollout_is_seen() -> None:
    crash = PodProblem("api-x", "api", "CrashLoopBackOff", "panic", 4, 1)
    state, reason = of_workload(replace(WELL, available=1), [pod(crash), pod()])
    assert state is HealthState.DEGRADED
    assert "panic" in reason


def test_an_old_pods_trouble_is_not_the_services() -> None:
    crash = PodProblem("api-x", "api", "CrashLoopBackOff", "panic", 4, 1)
    assert of_workload(WELL, [pod(crash, mark="old1")])[0] is HealthState.HEALTHY


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ProbeResult("u", 503, 0.1), "pod b answered 503"),
        (ProbeResult("u", 301, 0.1), "pod b answered 301"),
        (ProbeResult("u", None, 5.0, "connection refused"), "pod b connection refused"),
        (ProbeResult("u", None, 5.0), "pod b gave no answer"),
    ],
)
def test_one_pod_that_does_not_answer_well_is_enough(answer: ProbeResult, words: str) -> None:
    asked = [("pod a", ProbeResult("u", 200, 0.1)), ("pod b", answer)]
    assert of_answers(asked) == (HealthState.DEGRADED, words)


def test_all_pods_that_answer_are_healthy_and_no_pod_is_not() -> None:
    assert of_answers([("pod a", ProbeResult("u", 200, 0.1))]) == (HealthState.HEALTHY, "")
    assert of_answers([])[0] is HealthState.UNKNOWN


def test_failures_are_counted_in_a_row_and_blindness_counts_neither_way() -> None:
    bad = replace(LOOK, state=HealthState.DEGRADED, failures_in_a_row=2)
    assert failures(None, HealthState.DEGRADED, "sha256:1") == 1
    assert failures(bad, HealthState.DEGRADED, "sha256:1") == 3
    assert failures(bad, HealthState.MISSING, None) == 3
    assert failures(bad, HealthState.UNKNOWN, "sha256:1") == 2
    assert failures(bad, HealthState.HEALTHY, "sha256:1") == 0


def test_an_image_that_starts_has_not_failed() -> None:
    assert failures(None, HealthState.PROGRESSING, "sha256:1") == 0


def test_the_failures_of_another_image_say_nothing_of_this_one() -> None:
    bad = replace(LOOK, state=HealthState.DEGRADED, failures_in_a_row=2)
    assert failures(bad, HealthState.DEGRADED, "sha256:2") == 1
    assert failures(bad, HealthState.PROGRESSING, "sha256:2") == 0
    assert failures(bad, HealthState.UNKNOWN, "sha256:2") == 0


def test_the_digest_is_the_templates_else_what_all_pods_run() -> None:
    assert running_digest("r/api@sha256:1", [pod(digest="sha256:2")]) == "sha256:1"
    assert running_digest("r/api:v1", [pod(digest="sha256:2")] * 2) == "sha256:2"
    assert running_digest("r/api:v1", [pod(digest="sha256:2"), pod(digest="sha256:3")]) is None
    assert running_digest("r/api:v1", []) is None


@pytest.mark.parametrize(
    ("changes", "worth"),
    [
        ({}, False),
        ({"reason": "other words"}, False),
        ({"at": NOW + BEAT}, True),
        ({"at": NOW + BEAT - timedelta(seconds=1)}, False),
        ({"state": HealthState.UNKNOWN}, True),
        ({"digest": "sha256:2"}, True),
    ],
)
def test_changes_and_heartbeats_are_worth_recording(
    changes: dict[str, object], worth: bool
) -> None:
    new = replace(LOOK, **changes)  # type: ignore[arg-type]
    assert worth_recording(LOOK, new, BEAT) is worth


def test_the_first_look_is_worth_recording() -> None:
    assert worth_recording(None, LOOK, BEAT)


def test_failures_are_recorded_one_by_one_up_to_what_soak_counts_to() -> None:
    recorded = replace(LOOK, state=HealthState.DEGRADED, failures_in_a_row=1)
    kept = []
    for count in range(2, 9):
        new = replace(recorded, failures_in_a_row=count)
        if worth_recording(recorded, new, BEAT, 4):
            kept.append(count)
            recorded = new
    assert kept == [2, 3, 4]
