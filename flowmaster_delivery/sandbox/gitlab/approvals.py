"""Who may approve a merge request, and what is still wanting.

On the free tier everybody from developer up may approve, the author too. On premium, rules say how
many of whom, and authors are excluded unless the project lets them.
"""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab.answers import bad
from flowmaster_delivery.sandbox.gitlab.git_records import Commit
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    ApprovalRule,
    MergeRequest,
)
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.world import World


def check_sha(merge_request: MergeRequest, sha: str) -> None:
    if sha and sha != merge_request.sha:
        raise bad(f"SHA does not match HEAD of source branch: {merge_request.sha}", 409)


def may_approve(world: World, project: Project, user: User, merge_request: MergeRequest) -> bool:
    """Whether this person's approval would be taken now."""
    if merge_request.state != "opened" or world.state.role(user, project) < DEVELOPER:
        return False
    if any(a.user_id == user.id for a in merge_request.approvals):
        return False
    return world.state.tier == "free" or not excluded(project, user, merge_request)


def excluded(project: Project, user: User, merge_request: MergeRequest) -> bool:
    """Premium: authors, and committers where the project says so, do not approve their own."""
    settings = project.approval_settings
    if user.id == merge_request.author_id and not settings["merge_requests_author_approval"]:
        return True
    if not settings["merge_requests_disable_committers_approval"]:
        return False
    commits = commits_of(project, merge_request)
    return any(user.email.lower() == c.committer.email.lower() for c in commits)


def rules_of(project: Project, merge_request: MergeRequest) -> list[ApprovalRule]:
    """Approval rules that hold for the merge request's target branch."""
    ids = {
        rule.id
        for name, rule in project.protected_branches.items()
        if name == merge_request.target_branch
    }
    return [
        rule
        for rule in project.approval_rules.values()
        if not rule.protected_branch_ids or ids & set(rule.protected_branch_ids)
    ]


def eligible(world: World, project: Project, rule: ApprovalRule) -> set[int]:
    """User ids whose approval counts for a rule; of a group, its direct members only."""
    if rule.rule_type == "any_approver":
        members = world.state.project_members(project)
        return {i for i, m in members.items() if m.access_level >= DEVELOPER}
    found = set(rule.user_ids)
    for group_id in rule.group_ids:
        if (group := world.state.groups.get(group_id)) is not None:
            found |= set(group.members)
    return found


def unmet_rules(world: World, project: Project, merge_request: MergeRequest) -> list[ApprovalRule]:
    """Premium: the rules that still want approvals."""
    if world.state.tier == "free":
        return []
    given = {a.user_id for a in merge_request.approvals}
    return [
        rule
        for rule in rules_of(project, merge_request)
        if len(given & eligible(world, project, rule)) < rule.approvals_required
    ]


def commits_of(project: Project, merge_request: MergeRequest) -> list[Commit]:
    """Commits that the merge request brings, newest first."""
    version = merge_request.versions[-1]
    return project.repository.log(merge_request.sha, f"^{version.base}")
