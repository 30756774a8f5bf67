"""Environments, deployments and releases: what the platform writes back."""

from __future__ import annotations

from typing import Any

import pytest
from gitlab.exceptions import (
    GitlabCreateError,
    GitlabDeleteError,
    GitlabGetError,
    GitlabHttpError,
    GitlabUpdateError,
)

from flowmaster_delivery.sandbox.gitlab.state import Project
from tests.sandbox.gitlab.stage import Stage


def deployed(stage: Stage, project: Project, status: str = "running", where: str = "dev") -> Any:
    head = project.repository.branches()["develop"].commit
    about = {"environment": where, "sha": head, "ref": "develop", "tag": False, "status": status}
    return stage.seen(project, "dana").deployments.create(about)


def test_a_deployment_makes_its_environment_with_the_guessed_tier(stage: Stage) -> None:
    project = stage.project()
    made = deployed(stage, project, where="production")
    assert (made.status, made.deployable) == ("running", None)
    environment = stage.seen(project).environments.list(name="production", get_all=True)[0]
    assert (environment.id, environment.tier) == (made.environment["id"], "production")
    deployed(stage, project, where="production")
    assert len(stage.seen(project).environments.list(get_all=True)) == 1


def test_a_finished_deployment_does_not_run_again(stage: Stage) -> None:
    project = stage.project()
    made = deployed(stage, project)
    made.status = "success"
    made.save()
    assert stage.seen(project).deployments.get(made.id).status == "success"
    for status, event in (("running", "run"), ("success", "succeed")):
        with pytest.raises(GitlabUpdateError, match=f'cannot transition via "{event}"') as refused:
            stage.seen(project, "dana").deployments.update(made.id, {"status": status})
        assert refused.value.response_code == 400


def test_the_last_success_is_the_environments_deployment(stage: Stage) -> None:
    project = stage.project()
    good = deployed(stage, project, "success")
    deployed(stage, project, "failed")
    environment = stage.seen(project).environments.get(good.environment["id"])
    assert environment.last_deployment["id"] == good.id


def test_deployments_are_listed_oldest_first_and_filtered(stage: Stage) -> None:
    project = stage.project()
    made = [deployed(stage, project, s).id for s in ("success", "running", "success")]
    many = stage.seen(project).deployments
    assert [d.id for d in many.list(get_all=True)] == made
    newest = many.list(order_by="id", sort="desc", environment="dev", per_page=1, get_all=False)
    assert newest[0].id == made[-1]
    assert [d.id for d in many.list(status="running", get_all=True)] == [made[1]]
    assert many.list(environment="staging", get_all=True) == []


@pytest.mark.parametrize(
    "query",
    [
        {"updated_after": "2026-01-01T00:00:00Z"},
        {"finished_after": "2026-01-01T00:00:00Z", "order_by": "finished_at"},
        {"updated_after": "2026-01-01T00:00:00Z", "finished_after": "2026-01-01T00:00:00Z"},
        {"updated_after": "yesterday", "order_by": "updated_at"},
        {"order_by": "size"},
    ],
)
def test_filters_that_gitlab_has_no_index_for_are_refused(
    stage: Stage, query: dict[str, str]
) -> None:
    project = stage.project()
    with pytest.raises(GitlabHttpError) as refused:
        stage.client().http_list(
            f"/projects/{project.id}/deployments", query_data=query, get_all=True
        )
    assert refused.value.response_code == 400


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("sha", "0" * 40, 404), ("status", "created", 400), ("environment", "", 400)],
)
def test_a_deployment_that_does_not_fit_is_refused(
    stage: Stage, field: str, value: str, code: int
) -> None:
    project = stage.project()
    head = project.repository.branches()["develop"].commit
    about = {"environment": "dev", "sha": head, "ref": "develop", "tag": False, "status": "running"}
    with pytest.raises(GitlabCreateError) as refused:
        stage.seen(project, "dana").deployments.create({**about, field: value})
    assert refused.value.response_code == code


def test_a_running_and_the_current_deployment_stay(stage: Stage) -> None:
    project = stage.project()
    for status in ("running", "success"):
        made = deployed(stage, project, status)
        with pytest.raises(GitlabHttpError) as refused:
            stage.client().http_delete(f"/projects/{project.id}/deployments/{made.id}")
        assert refused.value.response_code == 400


def test_an_environment_is_deleted_once_stopped(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    made = seen.environments.create({"name": "review/x", "external_url": "http://x.example"})
    assert (made.tier, made.slug) == ("development", "review-x")
    with pytest.raises(GitlabDeleteError) as refused:
        made.delete()
    assert refused.value.response_code == 403
    made.stop()
    made.delete()
    with pytest.raises(GitlabGetError):
        seen.environments.get(made.id)


def test_an_environments_name_is_taken_once(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    seen.environments.create({"name": "dev"})
    with pytest.raises(GitlabCreateError, match="has already been taken"):
        seen.environments.create({"name": "dev"})


def test_a_release_is_made_for_a_tag_or_makes_it(stage: Stage) -> None:
    seen = stage.seen(stage.project(), "dana")
    with pytest.raises(GitlabCreateError) as refused:
        seen.releases.create({"tag_name": "v1.0.0"})
    assert refused.value.response_code == 422
    made = seen.releases.create({"tag_name": "v1.0.0", "ref": "main", "description": "notes"})
    assert seen.tags.get("v1.0.0").release["description"] == "notes"
    assert made.commit["id"] == seen.branches.get("main").commit["id"]
    with pytest.raises(GitlabCreateError) as refused:
        seen.releases.create({"tag_name": "v1.0.0"})
    assert refused.value.response_code == 409
    seen.releases.delete("v1.0.0")
    assert seen.tags.get("v1.0.0").release is None
