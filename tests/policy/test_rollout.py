"""How far a rollout has come: the order of the messages, its end, and its failures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.rollout import Condition, Phase, Pod, PodProblem, Progress, Workload
from flowmaster_delivery.policy.rollout import (
    FENCE,
    digest_in,
    fence,
    is_complete,
    may_go_ahead,
    may_mend_itself,
    newest_pods,
    progress,
    runs,
)

DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"registry:5000/group/api@{DIGEST}"
DEADLINE = "ProgressDeadlineExceeded"
BEFORE = Workload(
    name="api",
    namespace="dev",
    uid="u1",
    resource_version="9",
    generation=4,
    observed_generation=4,
    revision=2,
    paused=False,
    desired=3,
    updated=3,
    total=3,
    available=3,
    images={"api": "registry:5000/group/api@sha256:old", "proxy": "proxy:1"},
    annotations={},
    template_hash="old1",
    progressing=Condition("True", "NewReplicaSetAvailable", 'ReplicaSet "api-old1" …', "t1"),
)
PATCHED = replace(BEFORE, generation=5, images={**BEFORE.images, "api": IMAGE}, template_hash=None)
DONE = replace(PATCHED, observed_generation=5, revision=3, template_hash="new1")


def look(
    now: Workload, *pods: Pod, before: Workload = BEFORE, token: int = 7, grace: bool = False
) -> Progress:
    return progress(
        now, pods, before=before, patched=PATCHED, container="api", token=token, grace_spent=grace
    )


def pod(*problems: PodProblem, mark: str = "new1", terminating: bool = False) -> Pod:
    return Pod(f"api-{mark}-x", None, not problems, mark, None, problems, terminating)


def problem(reason: str, message: str = "", restarts: int = 0) -> PodProblem:
    return PodProblem("api-new1-x", "api", reason, message, restarts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observed_generation": 4}, "waiting for the change to be observed"),
        ({"updated": 1, "total": 4}, "1 of 3 new replicas have been created"),
        ({"total": 5}, "2 old replicas are still to go"),
        ({"available": 1}, "1 of 3 new replicas are available"),
        ({"updated": 4, "total": 4, "available": 4}, "4 replicas run, 3 are wanted"),
    ],
)
def test_the_messages_come_in_kubectls_order(changes: dict[str, int], words: str) -> None:
    found = look(replace(DONE, **changes))  # type: ignore[arg-type]
    assert (found.phase, found.message) == (Phase.WAITING, f"api: {words}")


def test_creation_is_told_before_the_old_and_the_old_before_availability() -> None:
    assert "have been created" in look(replace(DONE, updated=2, total=5, available=0)).message
    assert "old replicas" in look(replace(DONE, total=5, available=0)).message


def test_it_is_complete_when_all_of_it_runs() -> None:
    assert look(DONE, pod()).phase is Phase.COMPLETE


def test_old_pods_that_are_still_ending_keep_it_from_its_end() -> None:
    found = look(DONE, pod(), pod(mark="old1", terminating=True))
    assert (found.phase, found.message) == (Phase.ENDING, "api: 1 old pods are still ending")


def test_old_pods_that_are_not_even_ending_are_waited_for() -> None:
    found = look(DONE, pod(), pod(mark="old1"), pod(mark="old1", terminating=True))
    assert found.phase is Phase.WAITING


def test_no_replicas_wanted_is_complete_at_once() -> None:
    assert look(replace(DONE, desired=0, updated=0, total=0, available=0)).phase is Phase.COMPLETE


def test_a_generation_that_others_made_after_our_patch_is_waited_for() -> None:
    assert look(replace(DONE, generation=6)).phase is Phase.WAITING


def test_a_paused_workload_never_ends_and_fails_at_once() -> None:
    found = look(replace(DONE, paused=True, observed_generation=4))
    assert found.phase is Phase.FAILED
    assert "kubectl rollout resume" in found.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uid": "u2"}, "deleted and created anew"),
        ({"images": {**PATCHED.images, "api": "other"}}, "was set to other by another writer"),
        ({"images": {}}, "was set to nothing"),
        ({"annotations": {FENCE: "8"}}, "newer fencing token (8 > 7)"),
    ],
)
def test_what_another_writer_did_stands(changes: dict[str, object], words: str) -> None:
    found = look(replace(DONE, **changes))  # type: ignore[arg-type]
    assert found.phase is Phase.SUPERSEDED
    assert words in found.message


def test_a_sidecar_that_another_writer_changes_is_none_of_ours() -> None:
    images = {**PATCHED.images, "proxy": "proxy:2"}
    assert look(replace(DONE, images=images)).phase is Phase.COMPLETE


def test_a_pods_own_words_are_the_reason() -> None:
    trouble = problem("CreateContainerConfigError", 'secret "database" not found')
    found = look(replace(DONE, available=2), pod(trouble), pod())
    assert found.phase is Phase.FAILED
    assert 'secret "database" not found' in found.message
    assert found.problems == (trouble,)


def test_the_old_pods_troubles_are_not_the_new_ones() -> None:
    trouble = problem("CreateContainerConfigError", "gone")
    found = look(replace(DONE, available=2, total=4), pod(trouble, mark="old1"))
    assert found.phase is Phase.WAITING


def test_a_pod_that_is_ending_is_not_held_against_the_rollout() -> None:
    trouble = problem("CrashLoopBackOff", restarts=9)
    assert look(replace(DONE, available=2), pod(trouble, terminating=True)).phase is Phase.WAITING


def test_trouble_is_shown_while_it_is_waited_for() -> None:
    found = look(replace(DONE, available=2), pod(problem("Unschedulable", "0/3 nodes")))
    assert found.phase is Phase.WAITING
    assert "2 of 3 new replicas are available (pod api-new1-x" in found.message
    assert "0/3 nodes" in found.message


def test_before_the_change_is_observed_no_pod_is_the_new_one() -> None:
    found = look(
        replace(PATCHED, template_hash="old1"), pod(problem("ErrImageNeverPull"), mark="old1")
    )
    assert found.phase is Phase.WAITING


def test_trouble_that_may_mend_itself_fails_once_its_time_is_spent() -> None:
    trouble = pod(problem("ImagePullBackOff", "Back-off pulling image"))
    waiting = look(replace(DONE, available=2), trouble)
    assert waiting.phase is Phase.WAITING
    assert may_mend_itself(DONE, waiting)
    assert look(replace(DONE, available=2), trouble, grace=True).phase is Phase.FAILED


def test_pods_that_cannot_be_created_fail_it() -> None:
    found = look(replace(DONE, updated=0, replica_failure="exceeded quota: pods"))
    assert found.phase is Phase.FAILED
    assert "exceeded quota: pods" in found.message


def test_a_replica_failure_from_before_has_its_time_to_go() -> None:
    before = replace(BEFORE, replica_failure="exceeded quota")
    now = replace(DONE, updated=0, replica_failure="exceeded quota")
    assert look(now, before=before).phase is Phase.WAITING
    assert look(now, before=before, grace=True).phase is Phase.FAILED


def test_an_exceeded_deadline_of_ours_fails_it() -> None:
    late = Condition("False", DEADLINE, 'ReplicaSet "api-new1" has timed out', "t2")
    assert look(replace(DONE, available=0, progressing=late)).phase is Phase.FAILED


def test_an_exceeded_deadline_from_before_is_a_leftover() -> None:
    late = Condition("False", DEADLINE, 'ReplicaSet "api-bad" has timed out', "t1")
    now = replace(DONE, available=0, progressing=late)
    assert look(now, before=replace(BEFORE, progressing=late)).phase is Phase.WAITING


def test_a_deadline_that_names_the_newest_replicas_is_no_leftover() -> None:
    late = Condition("False", DEADLINE, 'ReplicaSet "api-new1" has timed out', "t1")
    now = replace(DONE, available=0, progressing=late)
    assert look(now, before=replace(BEFORE, progressing=late)).phase is Phase.FAILED


@given(
    st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(3, 6)
)
def test_complete_says_exactly_what_the_deployment_controller_says(
    desired: int, updated: int, total: int, available: int, observed: int
) -> None:
    now = replace(
        DONE,
        desired=desired,
        updated=updated,
        total=total,
        available=available,
        observed_generation=observed,
    )
    assert (look(now).phase is Phase.COMPLETE) == is_complete(now)


@pytest.mark.parametrize(
    ("image", "same"),
    [
        (IMAGE, True),
        (f"elsewhere/api:v1@{DIGEST}", True),
        (f"registry:5000/group/api@sha256:{'b' * 64}", False),
        ("registry:5000/group/api:v1", False),
        ("", False),
    ],
)
def test_an_image_is_the_same_by_its_digest(image: str, same: bool) -> None:
    assert runs(replace(BEFORE, images={"api": image}), "api", IMAGE) is same


def test_a_container_that_is_not_there_runs_nothing() -> None:
    assert not runs(BEFORE, "absent", IMAGE)


def test_new_pods_are_not_known_before_their_template_is() -> None:
    assert newest_pods(PATCHED, [pod()]) == ()
    assert newest_pods(DONE, [pod(), pod(mark="old1")]) == (pod(),)


@pytest.mark.parametrize(
    ("changes", "ahead"),
    [
        ({"desired": 9, "generation": 5}, True),
        ({"annotations": {"note": "x"}}, True),
        ({"annotations": {FENCE: "7"}}, True),
        ({"annotations": {FENCE: "8"}}, False),
        ({"images": {"api": "other"}}, False),
        ({"uid": "u2"}, False),
    ],
)
def test_after_a_conflict_only_what_was_not_planned_on_may_have_changed(
    changes: dict[str, object], ahead: bool
) -> None:
    now = replace(BEFORE, resource_version="10", **changes)  # type: ignore[arg-type]
    assert may_go_ahead(BEFORE, now, 7) is ahead


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5"])
def test_a_fencing_token_that_is_no_number_fences_nothing(text: str) -> None:
    assert fence(replace(BEFORE, annotations={FENCE: text})) == 0


def test_a_reference_by_tag_names_no_digest() -> None:
    assert digest_in("registry:5000/api:v1") is None
    assert digest_in(IMAGE) == DIGEST
