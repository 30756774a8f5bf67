"""Bodies of webhooks, field for field as GitLab documents them.

Pushes, tags, merge requests, pipelines and deployments; hooks may ask for other events, but the
sandbox sends none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.ci import STAGES
from flowmaster_delivery.sandbox.gitlab.git_records import Commit
from flowmaster_delivery.sandbox.gitlab.records import (
    ZEROS,
    Deployment,
    Environment,
    Job,
    MergeRequest,
    Pipeline,
)
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.world import World

Json = dict[str, Any]
MOST_COMMITS = 20


def hook_time(at: datetime | None) -> str | None:
    """`2016-08-12 15:23:28 UTC`: webhooks do not write ISO 8601."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else None


def hook_user(user: User | None) -> Json | None:
    if user is None:
        return None
    return {
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "avatar_url": None,
        "email": "[REDACTED]",
    }


def hook_project(world: World, project: Project) -> Json:
    group = world.state.groups[project.namespace_id]
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "web_url": world.web(project),
        "avatar_url": None,
        "git_ssh_url": "",
        "git_http_url": world.clone_url(project),
        "namespace": group.name,
        "visibility_level": {"private": 0, "internal": 10, "public": 20}[project.visibility],
        "path_with_namespace": project.full_path,
        "default_branch": project.default_branch,
        "ci_config_path": project.settings.get("ci_config_path", ""),
    }


def hook_commit(world: World, project: Project, commit: Commit, *, files: bool = False) -> Json:
    body: Json = {
        "id": commit.id,
        "message": commit.message,
        "title": commit.title,
        "timestamp": commit.committed_at,
        "url": world.web(project, "commit", commit.id),
        "author": {"name": commit.author.name, "email": commit.author.email},
    }
    return {**body, **_files(project, commit)} if files else body


def _files(project: Project, commit: Commit) -> Json:
    base = commit.parents[0] if commit.parents else None
    diffs = project.repository.diff(base, commit.id) if base else []
    return {
        "added": [d.new_path for d in diffs if d.status == "A"],
        "modified": [d.new_path for d in diffs if d.status in "MRT"],
        "removed": [d.old_path for d in diffs if d.status == "D"],
    }


def push_body(world: World, project: Project, user: User, change: RefChange) -> Json:
    """A push to a branch, or of a tag where the change is one."""
    is_tag = change.tag is not None
    commits = () if is_tag or change.deleted else _pushed(project, change)
    checkout = None if change.deleted else project.repository.refs()[change.ref].commit
    name = change.tag if is_tag else change.branch
    ref = project.repository.refs().get(change.ref)
    return {
        "object_kind": "tag_push" if is_tag else "push",
        "event_name": "tag_push" if is_tag else "push",
        "before": change.old,
        "after": change.new,
        "ref": change.ref,
        "ref_protected": world.is_protected(project, name or "", is_tag=is_tag),
        "checkout_sha": checkout,
        "message": ref.message if ref is not None and is_tag and ref.annotated else None,
        "user_id": user.id,
        "user_name": user.name,
        "user_username": user.username,
        "user_email": None,
        "user_avatar": None,
        "project_id": project.id,
        "project": hook_project(world, project),
        "repository": {
            "name": project.name,
            "url": world.clone_url(project),
            "description": project.description,
            "homepage": world.web(project),
            "git_http_url": world.clone_url(project),
            "git_ssh_url": "",
            "visibility_level": 0,
        },
        "commits": [
            hook_commit(world, project, c, files=True) for c in reversed(commits[:MOST_COMMITS])
        ],
        "total_commits_count": len(commits),
        "push_options": {},
    }


def _pushed(project: Project, change: RefChange) -> Sequence[Commit]:
    """Commits that the push brought, newest first; a new branch counts from the default one."""
    default = project.repository.branches().get(project.default_branch)
    base = change.old
    if change.created:
        base = default.commit if default and change.branch != project.default_branch else ZEROS
    if base == ZEROS:
        return project.repository.log(f"--max-count={MOST_COMMITS}", change.new)
    return project.repository.log(change.new, f"^{base}")


def merge_request_body(
    world: World,
    project: Project,
    user: User,
    merge_request: MergeRequest,
    action: str,
    *,
    status: str,
    oldrev: str | None = None,
) -> Json:
    head = project.repository.commit(merge_request.sha)
    attributes: Json = {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "target_branch": merge_request.target_branch,
        "source_branch": merge_request.source_branch,
        "source_project_id": project.id,
        "target_project_id": project.id,
        "author_id": merge_request.author_id,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state,
        "draft": merge_request.draft,
        "work_in_progress": merge_request.draft,
        "merge_status": "can_be_merged" if status != "conflict" else "cannot_be_merged",
        "detailed_merge_status": status,
        "merge_commit_sha": merge_request.merge_commit_sha,
        "squash_commit_sha": merge_request.squash_commit_sha,
        "created_at": hook_time(merge_request.created_at),
        "updated_at": hook_time(merge_request.updated_at),
        "last_commit": hook_commit(world, project, head),
        "source": hook_project(world, project),
        "target": hook_project(world, project),
        "url": world.web(project, "merge_requests", str(merge_request.iid)),
        "action": action,
    }
    if oldrev is not None:
        attributes["oldrev"] = oldrev
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": hook_user(user),
        "project": hook_project(world, project),
        "object_attributes": attributes,
        "labels": [{"title": label} for label in merge_request.labels],
        "changes": {},
        "assignees": [hook_user(world.user(i)) for i in merge_request.assignee_ids],
        "reviewers": [hook_user(world.user(i)) for i in merge_request.reviewer_ids],
        "repository": {"name": project.name, "url": world.clone_url(project)},
    }


def seconds(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 6) if start and end else None


def pipeline_body(world: World, project: Project, pipeline: Pipeline) -> Json:
    merge_request = project.merge_requests.get(pipeline.merge_request_iid or 0)
    stages = [s for s in STAGES if any(j.stage == s for j in pipeline.jobs)]
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": pipeline.id,
            "iid": pipeline.iid,
            "name": None,
            "ref": pipeline.ref,
            "tag": pipeline.tag,
            "sha": pipeline.sha,
            "before_sha": pipeline.before_sha,
            "source": pipeline.source,
            "status": pipeline.status,
            "detailed_status": "passed" if pipeline.status == "success" else pipeline.status,
            "stages": stages,
            "created_at": hook_time(pipeline.created_at),
            "finished_at": hook_time(pipeline.finished_at),
            "duration": _whole(seconds(pipeline.started_at, pipeline.finished_at)),
            "queued_duration": _whole(seconds(pipeline.created_at, pipeline.started_at)),
            "variables": [],
            "url": world.web(project, "pipelines", str(pipeline.id)),
        },
        "merge_request": merge_request and _merge_request_brief(world, project, merge_request),
        "user": hook_user(world.user(pipeline.user_id)),
        "project": hook_project(world, project),
        "commit": hook_commit(world, project, project.repository.commit(pipeline.sha)),
        "builds": [_build(world, job) for job in pipeline.jobs],
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _merge_request_brief(world: World, project: Project, merge_request: MergeRequest) -> Json:
    return {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "title": merge_request.title,
        "source_branch": merge_request.source_branch,
        "target_branch": merge_request.target_branch,
        "state": merge_request.state,
        "url": world.web(project, "merge_requests", str(merge_request.iid)),
    }


def _build(world: World, job: Job) -> Json:
    return {
        "id": job.id,
        "stage": job.stage,
        "name": job.name,
        "status": job.status,
        "created_at": hook_time(job.created_at),
        "started_at": hook_time(job.started_at),
        "finished_at": hook_time(job.finished_at),
        "duration": seconds(job.started_at, job.finished_at),
        "queued_duration": seconds(job.created_at, job.started_at),
        "failure_reason": "script_failure" if job.status == "failed" else None,
        "when": job.when,
        "manual": job.when == "manual",
        "allow_failure": False,
        "user": hook_user(world.user(job.user_id)),
        "runner": None,
        "environment": job.environment and {"name": job.environment, "action": "start"},
    }


def deployment_body(
    world: World, project: Project, user: User, deployment: Deployment, environment: Environment
) -> Json:
    commit = project.repository.commit(deployment.sha)
    return {
        "object_kind": "deployment",
        "status": deployment.status,
        "status_changed_at": hook_time(deployment.updated_at),
        "deployment_id": deployment.id,
        "deployable_id": None,
        "deployable_url": None,
        "environment": environment.name,
        "environment_tier": environment.tier,
        "environment_slug": environment.name.lower(),
        "environment_external_url": environment.external_url,
        "project": hook_project(world, project),
        "short_sha": deployment.sha[:8],
        "user": hook_user(user),
        "user_url": f"{world.url}/{user.username}",
        "commit_url": world.web(project, "commit", deployment.sha),
        "commit_title": commit.title,
        "ref": deployment.ref,
    }
