"""Which news there is, and when CI has passed."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.source import Job, Pipeline, PipelineState, Refs
from flowmaster_delivery.policy.intake import (
    CiState,
    NewsKind,
    baseline,
    ci_state,
    newest_pipeline,
    news,
    second_writers,
)

S, F, R, M = (
    PipelineState.SUCCESS,
    PipelineState.FAILED,
    PipelineState.RUNNING,
    PipelineState.MANUAL,
)
STAGES = ("lint", "test", "build", "package")


def _pipeline(state: PipelineState, number: int = 1, ref: str = "develop") -> Pipeline:
    return Pipeline(number, ref, "c" * 40, state)


def _state(pipeline: PipelineState, *jobs: tuple[str, PipelineState]) -> CiState:
    return ci_state(_pipeline(pipeline), [Job(f"{s}:x", s, j) for s, j in jobs], STAGES)


@pytest.mark.parametrize(
    ("pipeline", "jobs", "expected"),
    [
        (S, [("test", S), ("package", S)], CiState.PASSED),
        (R, [("test", S), ("package", S), ("deploy", R)], CiState.PASSED),
        (M, [("test", S), ("package", S), ("deploy", M)], CiState.PASSED),
        (F, [("test", S), ("package", S), ("validate", F)], CiState.PASSED),
        (R, [("test", S), ("package", R)], CiState.WAITING),
        (F, [("test", F)], CiState.FAILED),
        (R, [("test", F), ("package", R)], CiState.FAILED),
        (S, [], CiState.PASSED),
        (R, [], CiState.WAITING),
        (F, [], CiState.FAILED),
    ],
    ids=[
        "all-passed",
        "deploy-job-still-runs",
        "waits-at-a-manual-job",
        "only-validate-failed",
        "image-not-pushed-yet",
        "test-failed",
        "test-failed-while-others-run",
        "nothing-to-do",
        "no-job-yet",
        "pipeline-failed-without-jobs",
    ],
)
def test_only_the_jobs_up_to_the_image_push_decide(
    pipeline: PipelineState, jobs: list[tuple[str, PipelineState]], expected: CiState
) -> None:
    assert _state(pipeline, *jobs) is expected


def test_a_job_that_may_fail_does_not_block() -> None:
    jobs = [Job("lint:docker", "lint", F, allow_failure=True), Job("test", "test", S)]
    assert ci_state(_pipeline(S), jobs, STAGES) is CiState.PASSED


def test_no_pipeline_is_not_a_passed_one() -> None:
    assert ci_state(None, [], STAGES) is CiState.WAITING


def test_the_pipeline_of_the_own_ref_speaks_before_a_newer_one_of_another() -> None:
    own, other = _pipeline(S, 1, "develop"), _pipeline(F, 2, "feature/x")
    assert newest_pipeline([other, own], "develop", "c" * 40) == own
    assert newest_pipeline([other], "develop", "c" * 40) == other
    assert newest_pipeline([own], "develop", "d" * 40) is None


def test_deploy_jobs_that_ran_in_gitlab_are_second_writers() -> None:
    jobs = [
        Job("deploy:dev", "deploy", S),
        Job("deploy:production", "deploy", M),
        Job("t", "test", S),
    ]
    assert second_writers(jobs, STAGES) == ("deploy:dev",)


def test_every_kind_of_change_of_a_tag_is_news() -> None:
    before = baseline(Refs({}, {"v1": "a" * 40, "v2": "b" * 40, "v3": "c" * 40}), {})
    after = Refs({}, {"v1": "a" * 40, "v2": "d" * 40, "v4": "a" * 40})
    assert {item.name: item.kind for item in news(before, after, [])} == {
        "v2": NewsKind.TAG_MOVED,
        "v3": NewsKind.TAG_DELETED,
        "v4": NewsKind.TAG_NEW,
    }


def test_branches_that_nobody_watches_are_no_news() -> None:
    before = baseline(Refs({"develop": "a" * 40}, {}), {})
    after = Refs({"develop": "a" * 40, "feature/x": "b" * 40}, {})
    assert news(before, after, ["develop"]) == ()
