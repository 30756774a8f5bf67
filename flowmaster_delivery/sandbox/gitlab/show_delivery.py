"""Pipelines, deployments, releases and hooks as GitLab's API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flowmaster_delivery.sandbox.gitlab.hook_bodies import seconds
from flowmaster_delivery.sandbox.gitlab.records import (
    Deployment,
    Environment,
    Hook,
    HookEvent,
    Job,
    Pipeline,
    Release,
    Status,
)
from flowmaster_delivery.sandbox.gitlab.show import commit, moment, user_of
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import World

Json = dict[str, Any]


def pipeline_brief(world: World, of: Project, shown: Pipeline) -> Json:
    return {
        "id": shown.id,
        "iid": shown.iid,
        "project_id": of.id,
        "sha": shown.sha,
        "ref": shown.ref,
        "status": shown.status,
        "source": shown.source,
        "name": None,
        "created_at": moment(shown.created_at),
        "updated_at": moment(shown.updated_at),
        "web_url": world.web(of, "pipelines", str(shown.id)),
    }


def _whole(start: datetime | None, end: datetime | None) -> int | None:
    value = seconds(start, end)
    return None if value is None else round(value)


def pipeline(world: World, of: Project, shown: Pipeline) -> Json:
    text = {"success": "passed"}.get(shown.status, shown.status)
    return {
        **pipeline_brief(world, of, shown),
        "before_sha": shown.before_sha,
        "tag": shown.tag,
        "yaml_errors": None,
        "user": user_of(world, shown.user_id),
        "started_at": moment(shown.started_at),
        "finished_at": moment(shown.finished_at),
        "committed_at": None,
        "duration": _whole(shown.started_at, shown.finished_at),
        "queued_duration": _whole(shown.created_at, shown.started_at),
        "coverage": None,
        "detailed_status": {"text": text, "label": text, "group": shown.status},
    }


def job(world: World, of: Project, parent: Pipeline, shown: Job) -> Json:
    return {
        "id": shown.id,
        "name": shown.name,
        "stage": shown.stage,
        "status": shown.status,
        "ref": parent.ref,
        "tag": parent.tag,
        "coverage": None,
        "allow_failure": False,
        "created_at": moment(shown.created_at),
        "started_at": moment(shown.started_at),
        "finished_at": moment(shown.finished_at),
        "erased_at": None,
        "duration": seconds(shown.started_at, shown.finished_at),
        "queued_duration": seconds(shown.created_at, shown.started_at),
        "user": user_of(world, shown.user_id),
        "commit": commit(world, of, of.repository.commit(parent.sha)),
        "pipeline": pipeline_brief(world, of, parent),
        "web_url": world.web(of, "jobs", str(shown.id)),
        "project": {"ci_job_token_scope_enabled": False},
        "artifacts": [],
        "runner": None,
        "tag_list": [],
        **({"failure_reason": "script_failure"} if shown.status == "failed" else {}),
    }


def status(world: World, shown: Status) -> Json:
    return {
        "id": shown.id,
        "sha": shown.sha,
        "ref": shown.ref,
        "status": shown.status,
        "name": shown.name,
        "target_url": shown.target_url,
        "description": shown.description,
        "created_at": moment(shown.created_at),
        "started_at": None,
        "finished_at": None,
        "allow_failure": False,
        "coverage": shown.coverage,
        "pipeline_id": None,
        "author": user_of(world, shown.user_id),
    }


def environment(shown: Environment) -> Json:
    return {
        "id": shown.id,
        "name": shown.name,
        "slug": shown.name.lower().replace("/", "-"),
        "description": shown.description,
        "external_url": shown.external_url,
        "state": shown.state,
        "tier": shown.tier,
        "created_at": moment(shown.created_at),
        "updated_at": moment(shown.updated_at),
        "auto_stop_at": None,
        "auto_stop_setting": shown.auto_stop_setting,
    }


def deployment(world: World, of: Project, shown: Deployment) -> Json:
    where = of.environments[shown.environment_id]
    return {
        "id": shown.id,
        "iid": shown.iid,
        "ref": shown.ref,
        "sha": shown.sha,
        "status": shown.status,
        "created_at": moment(shown.created_at),
        "updated_at": moment(shown.updated_at),
        "finished_at": moment(shown.finished_at),
        "user": user_of(world, shown.user_id),
        "environment": {"id": where.id, "name": where.name, "external_url": where.external_url},
        "deployable": None,
    }


def release(world: World, of: Project, shown: Release) -> Json:
    sources = ("zip", "tar.gz", "tar.bz2", "tar")
    archive = world.web(of, "archive", shown.tag_name, of.path)
    page = world.web(of, "releases", shown.tag_name)
    return {
        "tag_name": shown.tag_name,
        "name": shown.name,
        "description": shown.description,
        "created_at": moment(shown.created_at),
        "released_at": moment(shown.released_at),
        "upcoming_release": False,
        "author": user_of(world, shown.author_id),
        "commit": commit(world, of, of.repository.commit(shown.sha)),
        "milestones": [],
        "commit_path": f"/{of.full_path}/-/commit/{shown.sha}",
        "tag_path": f"/{of.full_path}/-/tags/{shown.tag_name}",
        "assets": {
            "count": len(sources) + len(shown.links),
            "sources": [{"format": f, "url": f"{archive}.{f}"} for f in sources],
            "links": shown.links,
        },
        "evidences": [],
        "_links": {"self": page, "edit_url": f"{page}/edit"},
    }


def hook(of: Project, shown: Hook, at: datetime) -> Json:
    """Without its tokens: GitLab never tells them again."""
    return {
        "id": shown.id,
        "url": shown.url,
        "name": None,
        "description": None,
        "project_id": of.id,
        **shown.triggers,
        "push_events_branch_filter": shown.branch_filter,
        "branch_filter_strategy": "wildcard",
        "enable_ssl_verification": shown.enable_ssl_verification,
        "alert_status": shown.alert_status(at),
        "disabled_until": moment(shown.disabled_until),
        "url_variables": [],
        "custom_webhook_template": None,
        "custom_headers": [{"key": key} for key in shown.custom_headers],
        "token_present": bool(shown.token),
        "signing_token_present": bool(shown.signing_token),
        "created_at": moment(shown.created_at),
    }


def hook_event(of: Hook, shown: HookEvent) -> Json:
    return {
        "id": shown.id,
        "url": of.url,
        "trigger": shown.trigger,
        "request_headers": shown.request_headers,
        "request_data": shown.body.decode(),
        "response_headers": {},
        "response_body": "",
        "execution_duration": shown.duration,
        "response_status": shown.response_status,
        "created_at": moment(shown.at),
    }
