"""Which services came together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.releases import of_last_release, of_release, that_ran

START = datetime(2026, 11, 1, tzinfo=UTC)
ROLLOUT = DeploymentRecord(
    service="api",
    environment="production",
    method=Method.ROLLOUT,
    outcome=Outcome.SUCCESS,
    digest="A",
    previous_digest=None,
    fingerprint="",
    commit="c1",
    started_at=START,
    finished_at=START,
    asked_by="sam",
    version="v1.2.0",
)
NEXT = replace(
    ROLLOUT,
    digest="B",
    commit="c2",
    version="v1.3.0",
    run_id="run-9",
    finished_at=START + timedelta(days=1),
)


def test_a_release_is_what_one_run_changed() -> None:
    first = ROLLOUT
    run = replace(first, run_id="run-7")
    recorded = {
        "api": (run,),
        "auth": (replace(run, service="auth", digest="X"),),
        "web": (replace(first, service="web", run_id="run-1", commit="other"),),
        "new": (),
    }
    assert of_release("api", recorded) == ("api", "auth")


def test_a_release_over_two_runs_is_told_by_its_version() -> None:
    first = replace(ROLLOUT, version="v1.2.0", commit="c1")
    recorded = {
        "api": (replace(first, run_id="run-1"),),
        "auth": (replace(first, run_id="run-2"),),
        "web": (replace(first, run_id="run-3", version="v1.1.0"),),
    }
    assert of_release("api", recorded) == ("api", "auth")


def test_a_service_that_no_release_brought_is_alone() -> None:
    assert of_release("api", {"api": (), "auth": (ROLLOUT,)}) == ("api",)


def test_the_last_release_is_what_was_changed_last() -> None:
    recorded = {"api": (NEXT, ROLLOUT), "auth": (replace(NEXT, service="auth"),), "web": (ROLLOUT,)}
    assert of_last_release(recorded) == ("api", "auth")
    assert of_last_release({"api": ()}) == ()


def test_what_the_last_release_left_as_it_was_did_not_come_with_it() -> None:
    unchanged = replace(NEXT, digest="A", changed=False)
    gave_up = replace(NEXT, changed=False, outcome=Outcome.FAILURE)  # its canary failed
    recorded = {"api": (NEXT, ROLLOUT), "auth": (unchanged, ROLLOUT), "web": (gave_up, ROLLOUT)}
    assert of_last_release(recorded) == ("api",)


def test_a_version_is_found_wherever_it_ever_ran() -> None:
    recorded = {"api": (NEXT, ROLLOUT), "auth": (NEXT,), "web": ()}
    assert that_ran("v1.2.0", recorded) == ("api",)
