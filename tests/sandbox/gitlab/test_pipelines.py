"""Pipelines: what a push starts, which images it builds, how it fails when told to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from gitlab.exceptions import GitlabCreateError, GitlabHttpError, GitlabListError

from flowmaster_delivery.sandbox.gitlab import SINGLE, Ci, CiService
from flowmaster_delivery.sandbox.gitlab.records import now
from flowmaster_delivery.sandbox.gitlab.state import Project
from tests.sandbox.gitlab.stage import CI, Stage, eventually


def push(
    stage: Stage,
    project: Project,
    path: str,
    *,
    branch: str = "develop",
    message: str = "change",
    content: str = "x",
) -> str:
    action = {"action": "create", "file_path": path, "content": content}
    order = {"branch": branch, "commit_message": message, "actions": [action]}
    if branch not in project.repository.branches():
        order["start_branch"] = "main"
    made: str = stage.seen(project, "dana").commits.create(order).id
    return made


def ended(stage: Stage, project: Project, sha: str, **more: str) -> Any:
    """The pipeline of a commit, once it is over."""

    def look() -> Any:
        found = stage.seen(project).pipelines.list(sha=sha, get_all=True, **more)
        return found and found[0].status in ("success", "failed", "manual", "skipped") and found[0]

    return eventually(look)


def built(stage: Stage, project: Project, sha: str) -> list[tuple[str, tuple[str, ...], str]]:
    """Repository, tags and digest of the images that the project's CI built for a commit."""
    return [
        (repository, tags, digest)
        for repository, tags, labels, digest in stage.images.pushed
        if labels["org.opencontainers.image.revision"] == sha
        and repository.startswith(f"{project.full_path}/")
    ]


def jobs(pipeline: Any) -> dict[str, str]:
    return {job.name: job.status for job in pipeline.jobs.list(get_all=True)}


def test_a_push_builds_the_services_that_it_changed_and_no_others(stage: Stage) -> None:
    project = stage.project()
    sha = push(stage, project, "services/api-gateway/new.py")
    pipeline = ended(stage, project, sha)
    assert (pipeline.ref, pipeline.status, pipeline.source) == ("develop", "success", "push")
    assert jobs(pipeline) == dict.fromkeys(
        (
            "lint:repository",
            "lint:api-gateway",
            "test:api-gateway",
            "build:api-gateway",
            "docker:api-gateway",
        ),
        "success",
    )
    assert [image[:2] for image in built(stage, project, sha)] == [
        (f"{project.full_path}/api-gateway", (sha[:8], "develop"))
    ]


def test_a_shared_path_builds_those_that_use_it(stage: Stage) -> None:
    project = stage.project()
    pipeline = ended(stage, project, push(stage, project, "shared/proto/b.proto"))
    assert "docker:api-gateway" in jobs(pipeline)
    assert "docker:auth-service" not in jobs(pipeline)


def test_a_push_that_touches_no_service_still_has_a_pipeline(stage: Stage) -> None:
    project = stage.project()
    pipeline = ended(stage, project, push(stage, project, "docs/new.md"))
    assert jobs(pipeline) == {"lint:repository": "success"}


def test_a_feature_branch_has_no_pipeline_of_its_own(stage: Stage) -> None:
    project = stage.project()
    sha = push(stage, project, "services/api-gateway/new.py", branch="feature")
    assert stage.seen(project).pipelines.list(sha=sha, get_all=True) == []


def test_a_tag_tests_all_services_and_builds_no_image(stage: Stage) -> None:
    project = stage.project()
    before = len(stage.images.pushed)
    tag = stage.seen(project).tags.create({"tag_name": "v1.0.0", "ref": "main"})
    pipeline = ended(stage, project, tag.commit["id"], ref="v1.0.0")
    assert stage.seen(project).pipelines.get(pipeline.id).tag is True
    assert {"test:api-gateway", "test:auth-service"} <= set(jobs(pipeline))
    assert [name for name in jobs(pipeline) if name.startswith("docker")] == []
    assert len(stage.images.pushed) == before


def test_a_job_fails_by_the_commits_trailer_and_later_stages_are_skipped(stage: Stage) -> None:
    project = stage.project()
    message = "break it\n\nSandbox-Fail: test:api-gateway\n"
    sha = push(stage, project, "services/api-gateway/new.py", message=message)
    pipeline = ended(stage, project, sha)
    assert pipeline.status == "failed"
    assert jobs(pipeline)["test:api-gateway"] == "failed"
    assert jobs(pipeline)["docker:api-gateway"] == "skipped"
    assert built(stage, project, sha) == []


def test_a_job_fails_by_order_once_and_a_retry_passes(stage: Stage) -> None:
    project = stage.project()
    order = {"project": project.full_path, "ref": "develop", "fail_job": "docker:*"}
    token = stage.tokens["root"]
    headers = {"PRIVATE-TOKEN": token}
    assert httpx.post(f"{stage.url}/sandbox/pipelines", json=order).status_code == 401
    answer = httpx.post(f"{stage.url}/sandbox/pipelines", json=order, headers=headers)
    assert answer.status_code == 201
    pipeline = ended(stage, project, push(stage, project, "services/api-gateway/new.py"))
    assert (pipeline.status, jobs(pipeline)["docker:api-gateway"]) == ("failed", "failed")
    stage.seen(project).pipelines.get(pipeline.id).retry()
    again = eventually(
        lambda: (p := stage.seen(project).pipelines.get(pipeline.id)).status == "success" and p
    )
    assert jobs(again)["docker:api-gateway"] == "success"


def suite(stage: Stage, project: Project, **variables: str) -> Any:
    """A pipeline of tests, started with these variables, once it is over."""
    given = [{"key": key, "value": value} for key, value in variables.items()]
    made = stage.seen(project).pipelines.create({"ref": "main", "variables": given})
    return eventually(
        lambda: (p := stage.seen(project).pipelines.get(made.id)).finished_at is not None and p
    )


def test_a_suite_has_a_job_for_each_service_that_it_was_told(stage: Stage) -> None:
    project = stage.project(ci=Ci(suites=True))
    told = {"SUITE": "contract", "SERVICES": "api-gateway,auth-service"}
    pipeline = suite(stage, project, **told)
    assert (pipeline.status, pipeline.source) == ("success", "api")
    assert jobs(pipeline) == dict.fromkeys(
        ("contract:api-gateway", "contract:auth-service"), "success"
    )
    assert jobs(suite(stage, project, SUITE="e2e")) == {"e2e": "success"}
    shown = pipeline.variables.list(get_all=True)
    assert {found.key: found.value for found in shown} == told


def test_a_suite_fails_by_a_standing_order_for_its_variables(stage: Stage) -> None:
    project = stage.project(ci=Ci(suites=True))
    order = {
        "project": project.full_path,
        "fail_job": "contract:*",
        "variables": {"ENVIRONMENT": "staging"},
    }
    headers = {"PRIVATE-TOKEN": stage.tokens["root"]}
    orders = f"{stage.url}/sandbox/pipelines"
    assert httpx.post(orders, json=order, headers=headers).status_code == 201
    told = {"SUITE": "contract", "SERVICES": "api-gateway", "ENVIRONMENT": "staging"}
    for _ in range(2):
        assert jobs(suite(stage, project, **told)) == {"contract:api-gateway": "failed"}
    assert suite(stage, project, **{**told, "ENVIRONMENT": "dev"}).status == "success"
    assert suite(stage, project, **{**told, "SUITE": "e2e"}).status == "success"
    named = {"project": project.full_path}
    assert httpx.delete(orders, params=named, headers=headers).status_code == 204
    assert suite(stage, project, **told).status == "success"


def test_the_variables_of_a_pipeline_are_for_maintainers_and_whoever_started_it(
    stage: Stage,
) -> None:
    project = stage.project(ci=Ci(suites=True))
    pipeline = suite(stage, project, SUITE="contract")
    with pytest.raises(GitlabListError, match="403"):
        stage.seen(project, "dana").pipelines.get(pipeline.id).variables.list(get_all=True)


def test_variables_of_another_form_are_refused(stage: Stage) -> None:
    project = stage.project()
    order = {"ref": "main", "variables": {"SUITE": "contract"}}
    with pytest.raises(GitlabCreateError, match="variables"):
        stage.seen(project).pipelines.create(order)


def labels_of(stage: Stage, project: Project, sha: str) -> dict[str, str]:
    """Those labels of the image built for a commit that are ours."""
    ended(stage, project, sha)
    [labels] = [
        labels
        for _, _, labels, _ in stage.images.pushed
        if labels["org.opencontainers.image.revision"] == sha
    ]
    return {name: said for name, said in labels.items() if name.startswith("ai.flowmaster.")}


def test_an_image_is_labelled_with_what_its_folder_says_of_schemas(stage: Stage) -> None:
    project = stage.project()
    said = '{"before": 1, "phase": "expand", "reversible": true, "up": ["migrate", "up"]}'
    sha = push(stage, project, "services/auth-service/migration.json", content=said)
    assert labels_of(stage, project, sha) == {
        "ai.flowmaster.migration.before": "1",
        "ai.flowmaster.migration.phase": "expand",
        "ai.flowmaster.migration.reversible": "true",
        "ai.flowmaster.migration.up": '["migrate", "up"]',
    }
    needs = '{"database-migrations": "1-2"}'
    sha = push(stage, project, "services/api-gateway/schema.json", content=needs)
    assert labels_of(stage, project, sha) == {"ai.flowmaster.schema.database-migrations": "1-2"}


@pytest.mark.parametrize("content", ["{", "[]", '"x"', "{}"])
def test_a_file_that_says_nothing_is_no_label(stage: Stage, content: str) -> None:
    project = stage.project()
    sha = push(stage, project, "services/auth-service/migration.json", content=content)
    assert labels_of(stage, project, sha) == {}


def test_builds_are_not_reproducible(stage: Stage) -> None:
    project = stage.project()
    sha = push(stage, project, "services/api-gateway/new.py")
    ended(stage, project, sha)
    again = stage.seen(project).pipelines.create({"ref": "develop"})
    eventually(lambda: stage.seen(project).pipelines.get(again.id).status == "success")
    digests = [
        digest
        for repository, _, digest in built(stage, project, sha)
        if repository.endswith("/api-gateway")
    ]
    assert len(digests) == len(set(digests)) == 2


def test_a_commit_may_skip_its_pipeline(stage: Stage) -> None:
    project = stage.project()
    pipeline = ended(stage, project, push(stage, project, "x", message="docs [ci skip]"))
    assert (pipeline.status, jobs(pipeline)) == ("skipped", {})


def test_a_manual_deploy_job_waits_until_it_is_played(stage: Stage) -> None:
    project = stage.project(ci=Ci(CI.services, deploy="manual", job_seconds=0.02))
    pipeline = ended(stage, project, push(stage, project, "services/api-gateway/new.py"))
    assert pipeline.status == "manual"
    job = next(j for j in pipeline.jobs.list(get_all=True) if j.name == "deploy:dev")
    seen = stage.seen(project)
    seen.jobs.get(job.id).play()
    eventually(lambda: stage.seen(project).pipelines.get(pipeline.id).status == "success")
    with pytest.raises(GitlabHttpError):
        stage.client().http_post(f"/projects/{project.id}/jobs/{job.id}/play")


def test_a_repository_with_one_application_has_plain_job_names(stage: Stage) -> None:
    ci = Ci((CiService("frontend", "frontend", ("",)),), SINGLE, job_seconds=0.02)
    project = stage.project(ci=ci)
    pipeline = ended(stage, project, push(stage, project, "src/new.ts"))
    assert set(jobs(pipeline)) == {"lint:repository", "lint", "test", "build", "docker"}


def test_a_running_pipeline_is_canceled(stage: Stage) -> None:
    project = stage.project(ci=Ci(CI.services, job_seconds=30))
    sha = push(stage, project, "services/api-gateway/new.py")
    pipeline = stage.seen(project).pipelines.list(sha=sha, get_all=True)[0]
    stage.seen(project).pipelines.get(pipeline.id).cancel()
    seen = stage.seen(project).pipelines.get(pipeline.id)
    assert seen.status == "canceled"
    assert set(jobs(seen).values()) == {"canceled"}


def test_pipelines_are_filtered_and_the_latest_is_told(stage: Stage) -> None:
    project = stage.project()
    first = ended(stage, project, push(stage, project, "a"))
    second = ended(stage, project, push(stage, project, "b"))
    many = stage.seen(project).pipelines
    assert [p.id for p in many.list(ref="develop", get_all=True)] == [second.id, first.id]
    in_a_minute = (now() + timedelta(minutes=1)).isoformat()
    assert many.list(updated_after=in_a_minute, order_by="updated_at", get_all=True) == []
    long_ago = "2020-01-01T00:00:00Z"
    assert len(many.list(updated_after=long_ago, order_by="updated_at", get_all=True)) == 2
    assert many.latest(ref="develop").id == second.id
    with pytest.raises(GitlabHttpError) as refused:
        stage.client().http_get(f"/projects/{project.id}/pipelines/latest", query_data={"ref": "x"})
    assert refused.value.response_code == 403


def test_a_pipeline_of_no_ref_is_refused(stage: Stage) -> None:
    with pytest.raises(GitlabCreateError) as refused:
        stage.seen(stage.project()).pipelines.create({"ref": "nowhere"})
    assert refused.value.response_code == 400


def test_a_reported_status_shows_beside_the_jobs(stage: Stage) -> None:
    project = stage.project()
    sha = push(stage, project, "a")
    ended(stage, project, sha)
    commit = stage.seen(project, "dana").commits.get(sha)
    commit.statuses.create({"state": "success", "name": "scan", "description": "no findings"})
    found = {s.name: s.status for s in commit.statuses.list(get_all=True)}
    assert found == {"lint:repository": "success", "scan": "success"}


def test_the_registry_lists_what_ci_builds(stage: Stage) -> None:
    project = stage.project()
    listed = stage.seen(project).repositories.list(get_all=True)
    assert [r.path for r in listed] == [
        f"{project.full_path}/api-gateway",
        f"{project.full_path}/auth-service",
    ]
