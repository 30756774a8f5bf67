"""What a pod's trouble means for its rollout, row by row."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.rollout import PodProblem
from flowmaster_delivery.policy.pod_problems import Judgement, judge, words


def problem(
    reason: str, message: str = "", restarts: int = 0, code: int | None = None
) -> PodProblem:
    return PodProblem("api-x", "api", reason, message, restarts, code)


@pytest.mark.parametrize(
    "message",
    [
        "rpc error: code = NotFound: failed to resolve: reg/api@sha256:1: not found",
        "manifest unknown",
        "unauthorized: authentication required",
        "pull access denied",
        "403 Forbidden",
    ],
)
@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_the_registry_refuses_is_wrong_at_once(reason: str, message: str) -> None:
    assert judge(problem(reason, message)) is Judgement.FATAL


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_a_registry_that_does_not_answer_may_come_back(reason: str) -> None:
    assert judge(problem(reason, "dial tcp: i/o timeout")) is Judgement.GRACE


@pytest.mark.parametrize(
    "reason", ["InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"]
)
def test_what_no_waiting_mends_is_wrong_at_once(reason: str) -> None:
    assert judge(problem(reason)) is Judgement.FATAL


@pytest.mark.parametrize(
    "reason", ["CreateContainerError", "RunContainerError", "PostStartHookError"]
)
def test_a_container_that_cannot_be_made_has_a_little_time(reason: str) -> None:
    assert judge(problem(reason, "device not found")) is Judgement.GRACE


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "Error", "OOMKilled"])
def test_a_container_may_fall_over_once_and_not_twice(reason: str) -> None:
    assert judge(problem(reason, restarts=1)) is Judgement.WAIT
    assert judge(problem(reason, restarts=2)) is Judgement.FATAL


@pytest.mark.parametrize("reason", ["Unschedulable", "NotReady", "SomethingNew"])
def test_what_may_still_come_is_waited_for(reason: str) -> None:
    assert judge(problem(reason, restarts=9)) is Judgement.WAIT


@pytest.mark.parametrize("reason", ["Evicted", "Preempting", "NodeLost", "NodeNotReady"])
def test_a_nodes_trouble_is_not_the_releases_fault(reason: str) -> None:
    assert judge(problem(reason, "not found", restarts=9)) is Judgement.WAIT


def test_the_words_name_pod_container_reason_code_and_what_was_said() -> None:
    crash = problem("CrashLoopBackOff", "cannot connect to the database", 3, 1)
    assert words(crash) == (
        "pod api-x (container api): CrashLoopBackOff with exit code 1 after 3 restarts: "
        "cannot connect to the database"
    )
    assert words(PodProblem("api-x", "", "Unschedulable", "")) == "pod api-x: Unschedulable"


def test_an_exit_code_is_not_told_twice() -> None:
    assert words(problem("OOMKilled", "ended with exit code 137", 1, 137)).count("137") == 1
