"""Merge requests, pipelines, deployments, releases and hooks as GitLab's API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flowmaster_delivery.sandbox.gitlab import merges
from flowmaster_delivery.sandbox.gitlab.hook_bodies import seconds
from flowmaster_delivery.sandbox.gitlab.show import commit, group, moment, user_of
from flowmaster_delivery.sandbox.gitlab.state import (
    ApprovalRule,
    Deployment,
    Environment,
    Hook,
    HookEvent,
    Job,
    MergeRequest,
    Pipeline,
    Project,
    Release,
    Status,
    User,
)
from flowmaster_delivery.sandbox.gitlab.world import World

Json = dict[str, Any]


def merge_request(world: World, of: Project, shown: MergeRequest) -> Json:
    status = merges.merge_status(world, of, shown)
    version = shown.versions[-1]
    pipeline = merges.head_pipeline(of, shown)
    return {
        "id": shown.id,
        "iid": shown.iid,
        "project_id": of.id,
        "source_project_id": of.id,
        "target_project_id": of.id,
        "title": shown.title,
        "description": shown.description,
        "state": shown.state,
        "draft": shown.draft,
        "work_in_progress": shown.draft,
        "source_branch": shown.source_branch,
        "target_branch": shown.target_branch,
        "author": user_of(world, shown.author_id),
        "assignees": [user_of(world, i) for i in shown.assignee_ids],
        "assignee": user_of(world, shown.assignee_ids[0]) if shown.assignee_ids else None,
        "reviewers": [user_of(world, i) for i in shown.reviewer_ids],
        "labels": list(shown.labels),
        "sha": shown.sha,
        "merge_commit_sha": shown.merge_commit_sha,
        "squash_commit_sha": shown.squash_commit_sha,
        "squash": shown.squash,
        "squash_on_merge": shown.squash,
        "merge_user": user_of(world, shown.merge_user_id),
        "merged_by": user_of(world, shown.merge_user_id),
        "merged_at": moment(shown.merged_at),
        "closed_at": moment(shown.closed_at),
        "created_at": moment(shown.created_at),
        "updated_at": moment(shown.updated_at),
        "prepared_at": moment(shown.created_at),
        "merge_status": "cannot_be_merged" if status == "conflict" else "can_be_merged",
        "detailed_merge_status": status,
        "has_conflicts": status == "conflict",
        "blocking_discussions_resolved": True,
        "merge_when_pipeline_succeeds": False,
        "should_remove_source_branch": None,
        "force_remove_source_branch": shown.remove_source_branch,
        "user_notes_count": 0,
        "upvotes": 0,
        "downvotes": 0,
        "milestone": None,
        "diff_refs": {
            "base_sha": version.base,
            "head_sha": version.head,
            "start_sha": version.start,
        },
        "head_pipeline": pipeline_brief(world, of, pipeline) if pipeline else None,
        "references": {
            "short": f"!{shown.iid}",
            "relative": f"!{shown.iid}",
            "full": f"{of.full_path}!{shown.iid}",
        },
        "web_url": world.web(of, "merge_requests", str(shown.iid)),
    }


def approvals(world: World, of: Project, shown: MergeRequest, user: User) -> Json:
    """Who approved; the free tier shows no rules."""
    unmet = merges.unmet_rules(world, of, shown)
    given = [
        {"user": user_of(world, a.user_id), "approved_at": moment(a.at)} for a in shown.approvals
    ]
    body: Json = {
        "user_has_approved": any(a.user_id == user.id for a in shown.approvals),
        "user_can_approve": merges.may_approve(world, of, user, shown),
        "approved": not unmet if world.state.tier != "free" else bool(given),
        "approved_by": given,
    }
    if world.state.tier == "free":
        return body
    rules = merges.rules_of(of, shown)
    required = max((r.approvals_required for r in rules), default=0)
    return {
        "id": shown.id,
        "iid": shown.iid,
        "project_id": of.id,
        "title": shown.title,
        "state": shown.state,
        "created_at": moment(shown.created_at),
        "updated_at": moment(shown.updated_at),
        "merge_status": "can_be_merged",
        "approvals_required": required,
        "approvals_left": max((_left(world, of, shown, r) for r in rules), default=0),
        "approval_rules_left": [{"id": r.id, "name": r.name} for r in unmet],
        "has_approval_rules": bool(rules),
        **body,
    }


def _left(world: World, of: Project, shown: MergeRequest, rule: ApprovalRule) -> int:
    given = {a.user_id for a in shown.approvals} & merges.eligible(world, of, rule)
    return max(rule.approvals_required - len(given), 0)


def approval_rule(world: World, of: Project, rule: ApprovalRule) -> Json:
    eligible = sorted(merges.eligible(world, of, rule))
    return {
        "id": rule.id,
        "name": rule.name,
        "rule_type": rule.rule_type,
        "report_type": None,
        "eligible_approvers": [user_of(world, i) for i in eligible],
        "approvals_required": rule.approvals_required,
        "users": [user_of(world, i) for i in rule.user_ids],
        "groups": [group(world, world.state.groups[i]) for i in rule.group_ids],
        "contains_hidden_groups": False,
        "protected_branches": [
            {"id": branch.id, "name": name}
            for name, branch in of.protected_branches.items()
            if branch.id in rule.protected_branch_ids
        ],
        "applies_to_all_protected_branches": False,
    }


def approval_state(world: World, of: Project, shown: MergeRequest) -> Json:
    given = [a.user_id for a in shown.approvals]
    rules = []
    for rule in merges.rules_of(of, shown):
        eligible = merges.eligible(world, of, rule)
        rules.append(
            {
                **approval_rule(world, of, rule),
                "source_rule": None,
                "overridden": False,
                "approved": _left(world, of, shown, rule) == 0,
                "approved_by": [user_of(world, i) for i in given if i in eligible],
            }
        )
    return {"approval_rules_overwritten": False, "rules": rules}


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
