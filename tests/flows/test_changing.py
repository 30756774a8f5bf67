"""Bringing one Deployment to one image: fences, conflicts, blindness, and death at every step."""

from __future__ import annotations

import pytest

from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Done, Goal, Pace
from flowmaster_delivery.model.catalog import Kind, Service
from flowmaster_delivery.model.errors import Denied, NotFound, Refused, Superseded, Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    Condition,
    PodProblem,
    Progress,
)
from tests.fakes.fake_cluster import FakeCluster, Killed

API = Service("api", Kind.DEPLOYMENT, "platform", "api", "group/api")
OLD, NEW, OTHER = (f"registry/group/api@sha256:{letter * 64}" for letter in "abc")
FENCE = "flowmaster.ai/fencing-token"


@pytest.fixture
def cluster() -> FakeCluster:
    made = FakeCluster()
    made.deploy(API, OLD)
    return made


def go(
    cluster: FakeCluster,
    reference: str = NEW,
    *,
    run: str = "run-1",
    preempt: bool = False,
    said: list[Progress] | None = None,
    cancelled: bool = False,
) -> Done:
    time = cluster.time
    pace = Pace(
        time.now,
        (said if said is not None else []).append,
        lambda: cancelled,
        time.monotonic,
        time.sleep,
    )
    goal = Goal(API, reference, {"flowmaster.ai/run": run}, 60.0, preempt=preempt)
    return bring(goal, cluster, run, pace)


def test_a_rollout_says_how_far_it_has_come_and_ends_with_all_of_it(cluster: FakeCluster) -> None:
    said: list[Progress] = []
    done = go(cluster, said=said)
    assert done.outcome is Outcome.SUCCESS
    assert done.previous_digest == OLD.rpartition("@")[2]
    assert [progress.message for progress in said] == [
        "api: waiting for the change to be observed",
        "api: 0 of 1 new replicas have been created",
        "api: 1 old replicas are still to go",
        "api: 1 of 1 replicas run it",
    ]
    assert cluster.deployments["api"].annotations == {"flowmaster.ai/run": "run-1", FENCE: "1"}
    assert cluster.leases["api"].holder == ""


def test_an_image_that_runs_already_is_not_touched_at_all(cluster: FakeCluster) -> None:
    done = go(cluster, OLD)
    assert (done.outcome, done.changed) == (Outcome.SUCCESS, False)
    assert cluster.calls == ["workload"]


def test_an_image_that_is_asked_for_and_does_not_run_yet_is_awaited(cluster: FakeCluster) -> None:
    cluster.deploy(API, NEW, available=0)
    cluster.on_call["wait_for_change"] = lambda: cluster.edit("api", available=1)
    done = go(cluster)
    assert done.outcome is Outcome.SUCCESS
    assert "set_image" not in cluster.calls


def test_a_service_that_is_not_on_the_cluster_is_not_created(cluster: FakeCluster) -> None:
    del cluster.deployments["api"]
    with pytest.raises(NotFound):
        go(cluster)


def test_a_pods_own_reason_ends_the_rollout_early(cluster: FakeCluster) -> None:
    cluster.problems[NEW] = PodProblem("api-x", "api", "ErrImagePull", "manifest unknown")
    done = go(cluster)
    assert done.outcome is Outcome.FAILURE
    assert "manifest unknown" in done.message
    assert done.problems == (cluster.problems[NEW],)
    assert cluster.time.seconds < 1_010


def test_trouble_that_may_mend_itself_has_its_time_and_no_more(cluster: FakeCluster) -> None:
    cluster.problems[NEW] = PodProblem("api-x", "api", "ImagePullBackOff", "Back-off pulling")
    started = cluster.time.seconds
    done = go(cluster)
    assert done.outcome is Outcome.FAILURE
    assert 30 <= cluster.time.seconds - started < 40


def test_trouble_that_mends_itself_in_time_is_forgiven(cluster: FakeCluster) -> None:
    trouble = PodProblem("api-x", "api", "ImagePullBackOff", "Back-off pulling")
    cluster.problems[NEW] = trouble
    cluster.on_call["renew"] = cluster.problems.clear
    done = go(cluster)
    assert done.outcome is Outcome.SUCCESS


def test_trouble_that_comes_back_has_its_whole_time_again(cluster: FakeCluster) -> None:
    trouble = PodProblem("api-x", "api", "ImagePullBackOff", "Back-off pulling")
    cluster.problems[NEW] = trouble
    cluster.stuck = True

    def pass_for_one_look() -> None:
        cluster.problems.clear()
        cluster.on_call["renew"] = lambda: cluster.problems.update({NEW: trouble})

    cluster.on_call["renew"] = pass_for_one_look
    started = cluster.time.seconds
    assert go(cluster).outcome is Outcome.FAILURE
    assert cluster.time.seconds - started > 40


def test_a_rollout_that_never_ends_fails_at_its_time_with_its_last_words(
    cluster: FakeCluster,
) -> None:
    cluster.stuck = True
    done = go(cluster)
    assert done.outcome is Outcome.FAILURE
    assert "not complete after 60 s. api: 1 old replicas are still to go" in done.message


def test_old_pods_that_do_not_end_fail_no_image_that_all_of_it_runs(cluster: FakeCluster) -> None:
    """They get no new requests; a rollback for them would be one for a slow node."""
    cluster.lingering = 1
    done = go(cluster)
    assert done.outcome is Outcome.SUCCESS
    assert (
        done.message == "api: 1 of 1 replicas run it; api: 1 old pods are still ending after 60 s"
    )


def test_old_pods_that_end_in_time_are_waited_for(cluster: FakeCluster) -> None:
    cluster.lingering = 1
    said: list[Progress] = []
    cluster.on_call["renew"] = lambda: setattr(cluster, "lingering", 0)
    assert go(cluster, said=said).message == "api: 1 of 1 replicas run it"
    assert "api: 1 old pods are still ending" in [progress.message for progress in said]


def test_a_credential_that_expires_while_we_wait_is_no_failure(cluster: FakeCluster) -> None:
    cluster.failing["pods"] = [Denied("401: expired")] * 1_000
    done = go(cluster)
    assert done.outcome is Outcome.ERROR
    assert "401: expired" in done.message


def test_a_credential_that_is_renewed_while_we_wait_goes_on(cluster: FakeCluster) -> None:
    cluster.failing["pods"] = [Denied("401: expired")] * 5
    assert go(cluster).outcome is Outcome.SUCCESS


def test_a_cluster_that_is_away_for_a_while_is_waited_for(cluster: FakeCluster) -> None:
    cluster.failing["pods"] = [Unreachable("gone")] * 20
    said: list[Progress] = []
    assert go(cluster, said=said).outcome is Outcome.SUCCESS
    assert "the cluster cannot be asked: gone" in [progress.message for progress in said]


def test_a_cluster_that_stays_away_is_an_error_and_no_failure(cluster: FakeCluster) -> None:
    cluster.failing["pods"] = [Unreachable("gone")] * 1_000
    done = go(cluster)
    assert done.outcome is Outcome.ERROR
    assert "gone" in done.message


def test_a_cluster_that_cannot_be_asked_at_all_is_transient(cluster: FakeCluster) -> None:
    cluster.failing["workload"] = [Unreachable("gone")] * 1_000
    with pytest.raises(Unreachable):
        go(cluster)
    assert set(cluster.calls) == {"workload"}


def test_a_write_without_an_answer_is_not_known_to_have_been_made(cluster: FakeCluster) -> None:
    cluster.failing["set_image"] = [Unreachable("gone")] * 1_000
    done = go(cluster)
    assert done.outcome is Outcome.ERROR
    assert "may or may not" in done.message


def test_an_unrelated_change_under_us_is_no_reason_to_stop(cluster: FakeCluster) -> None:
    cluster.on_call["set_image"] = lambda: cluster.edit("api", desired=1)
    assert go(cluster).outcome is Outcome.SUCCESS
    assert cluster.calls.count("set_image") == 2


def test_an_image_that_somebody_else_sets_under_us_stands(cluster: FakeCluster) -> None:
    images = {"api": OTHER, "proxy": "proxy@sha256:0"}
    cluster.on_call["set_image"] = lambda: cluster.edit("api", images=images)
    assert go(cluster).outcome is Outcome.INCONCLUSIVE
    assert cluster.deployments["api"].images["api"] == OTHER


def test_an_image_that_somebody_else_sets_while_we_wait_stands(cluster: FakeCluster) -> None:
    images = {"api": OTHER, "proxy": "proxy@sha256:0"}
    cluster.on_call["wait_for_change"] = lambda: cluster.edit("api", images=images)
    done = go(cluster)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert f"was set to {OTHER} by another writer" in done.message


def test_a_deployment_that_was_made_anew_meanwhile_is_another(cluster: FakeCluster) -> None:
    cluster.on_call["wait_for_change"] = lambda: cluster.edit("api", uid="another")
    done = go(cluster)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert "created anew" in done.message


def test_what_another_run_holds_is_refused_with_its_name(cluster: FakeCluster) -> None:
    cluster.acquire("api", "run-0", preempt=False, ttl=1_000)
    with pytest.raises(Refused, match="run-0"):
        go(cluster)
    assert "set_image" not in cluster.calls


def test_a_rollback_takes_over_and_the_older_run_stops_at_its_next_look(
    cluster: FakeCluster,
) -> None:
    backs: list[Done] = []

    def roll_back() -> None:
        backs.append(go(cluster, OLD, run="run-2", preempt=True))

    cluster.on_call["wait_for_change"] = roll_back
    done = go(cluster)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert [back.outcome for back in backs] == [Outcome.SUCCESS]
    assert cluster.deployments["api"].images["api"] == OLD


def test_a_rollback_to_what_still_runs_fences_off_a_run_that_is_about_to_write(
    cluster: FakeCluster,
) -> None:
    """The older run has read and holds token 1; the rollback finds nothing to change."""

    def roll_back() -> None:
        assert go(cluster, OLD, run="run-2", preempt=True).changed is False

    cluster.on_call["set_image"] = roll_back
    done = go(cluster)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert cluster.deployments["api"].images["api"] == OLD


@pytest.mark.parametrize("wanted", [NEW, OLD], ids=["another image", "what runs"])
def test_an_overtaken_run_that_writes_at_the_last_moment_has_not_the_last_word(
    cluster: FakeCluster, wanted: str
) -> None:
    older = cluster.acquire("api", "run-1", preempt=False, ttl=20.0)
    planned_on = cluster.deployments["api"].resource_version

    def write() -> None:
        fenced = {FENCE: str(older.token)}
        cluster.set_image(API, OTHER, resource_version=planned_on, annotations=fenced)

    cluster.on_call["set_image" if wanted == NEW else "annotate"] = write
    done = go(cluster, wanted, run="run-2", preempt=True)
    assert (done.outcome, done.changed) == (Outcome.SUCCESS, True)
    assert cluster.deployments["api"].images["api"] == wanted
    assert cluster.deployments["api"].annotations[FENCE] == str(done.token)


def test_a_newer_token_on_the_deployment_stops_before_the_first_write(
    cluster: FakeCluster,
) -> None:
    cluster.edit("api", annotations={FENCE: "7"})
    done = go(cluster)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert "newer fencing token 7" in done.message
    assert "set_image" not in cluster.calls


def test_a_lease_that_is_lost_while_waiting_stops_the_wait(cluster: FakeCluster) -> None:
    cluster.stuck = True
    cluster.failing["renew"] = [Superseded("run-9 has taken over api")]
    done = go(cluster)
    assert (done.outcome, done.message) == (Outcome.INCONCLUSIVE, "run-9 has taken over api")


def test_a_canceled_run_stops_waiting_and_undoes_nothing(cluster: FakeCluster) -> None:
    done = go(cluster, cancelled=True)
    assert done.outcome is Outcome.INCONCLUSIVE
    assert "canceled" in done.message
    assert cluster.deployments["api"].images["api"] == NEW
    assert cluster.leases["api"].holder == ""


def test_another_controller_that_owns_the_image_is_named(cluster: FakeCluster) -> None:
    cluster.edit("api", image_owners=("argocd-controller", "kubectl-set"))
    said: list[Progress] = []
    go(cluster, said=said)
    assert said[0].message == "argocd-controller also writes the image of api and may undo this"
    assert not any("kubectl-set" in progress.message for progress in said)


def test_a_leftover_deadline_from_before_does_not_fail_the_next_change(
    cluster: FakeCluster,
) -> None:
    stale = Condition("False", "ProgressDeadlineExceeded", 'ReplicaSet "api-bad" timed out', "t0")
    cluster.deploy(API, OTHER, progressing=stale)
    assert go(cluster).outcome is Outcome.SUCCESS


def steps_of_a_whole_rollout() -> int:
    cluster = FakeCluster()
    cluster.deploy(API, OLD)
    assert go(cluster).outcome is Outcome.SUCCESS
    return len(cluster.calls)


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(steps_of_a_whole_rollout()))
def test_killed_at_any_step_the_next_run_ends_it_with_one_patch_in_all(
    cluster: FakeCluster, step: int, after_effect: bool
) -> None:
    cluster.kill_at, cluster.kill_after_effect = step, after_effect
    with pytest.raises(Killed):
        go(cluster)
    patched = cluster.deployments["api"].generation > 1
    tried = cluster.calls.count("set_image")
    cluster.revive()
    done = go(cluster, run="run-2")
    assert done.outcome is Outcome.SUCCESS, done.message
    assert cluster.deployments["api"].images == {"api": NEW, "proxy": "proxy@sha256:0"}
    assert cluster.deployments["api"].generation == 2
    assert cluster.calls.count("set_image") == tried + (not patched)
    assert cluster.deployments["api"].available == 1


@pytest.mark.parametrize("step", range(steps_of_a_whole_rollout()))
def test_killed_at_any_step_a_rollback_needs_to_wait_for_nobody(
    cluster: FakeCluster, step: int
) -> None:
    cluster.kill_at, cluster.kill_after_effect = step, True
    with pytest.raises(Killed):
        go(cluster)
    cluster.revive()
    before = cluster.time.seconds
    done = go(cluster, OLD, run="run-2", preempt=True)
    assert done.outcome is Outcome.SUCCESS, done.message
    assert cluster.deployments["api"].images["api"] == OLD
    assert cluster.time.seconds - before < 2
