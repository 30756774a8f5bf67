"""Merge requests and approvals as GitLab's API shows them."""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.sandbox.gitlab import approvals as consent
from flowmaster_delivery.sandbox.gitlab import merges
from flowmaster_delivery.sandbox.gitlab.records import (
    ApprovalRule,
    MergeRequest,
)
from flowmaster_delivery.sandbox.gitlab.show import group, moment, user_of
from flowmaster_delivery.sandbox.gitlab.show_delivery import pipeline_brief
from flowmaster_delivery.sandbox.gitlab.state import Project, User
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
    unmet = consent.unmet_rules(world, of, shown)
    given = [
        {"user": user_of(world, a.user_id), "approved_at": moment(a.at)} for a in shown.approvals
    ]
    body: Json = {
        "user_has_approved": any(a.user_id == user.id for a in shown.approvals),
        "user_can_approve": consent.may_approve(world, of, user, shown),
        "approved": not unmet if world.state.tier != "free" else bool(given),
        "approved_by": given,
    }
    if world.state.tier == "free":
        return body
    rules = consent.rules_of(of, shown)
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
    given = {a.user_id for a in shown.approvals} & consent.eligible(world, of, rule)
    return max(rule.approvals_required - len(given), 0)


def approval_rule(world: World, of: Project, rule: ApprovalRule) -> Json:
    eligible = sorted(consent.eligible(world, of, rule))
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
    for rule in consent.rules_of(of, shown):
        eligible = consent.eligible(world, of, rule)
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
