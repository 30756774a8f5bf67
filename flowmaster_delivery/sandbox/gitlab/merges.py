"""Merge requests: their state, who approves and who may, and the merge itself.

On the free tier everybody from developer up may approve, the author too, and an approval outlives
later pushes. On premium, rules say how many of whom, authors are excluded unless the project lets
them, and a push that changes the diff (its patch id) takes approvals away.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster_delivery.sandbox.gitlab import pipelines
from flowmaster_delivery.sandbox.gitlab.access import RefChange, may_merge_into
from flowmaster_delivery.sandbox.gitlab.hook_bodies import merge_request_body
from flowmaster_delivery.sandbox.gitlab.http import bad, missing, unauthorized
from flowmaster_delivery.sandbox.gitlab.repository import Commit
from flowmaster_delivery.sandbox.gitlab.state import (
    DEVELOPER,
    ZEROS,
    ApprovalGiven,
    ApprovalRule,
    MergeRequest,
    Pipeline,
    Project,
    User,
    Version,
    now,
)
from flowmaster_delivery.sandbox.gitlab.world import World, identity


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """How to merge, as the request says; None leaves it to merge request and project."""

    sha: str = ""
    squash: bool | None = None
    remove_source: bool | None = None
    merge_message: str = ""
    squash_message: str = ""


def open_merge_request(
    world: World,
    project: Project,
    user: User,
    *,
    source: str,
    target: str,
    title: str,
    description: str = "",
    squash: bool | None = None,
    remove_source: bool = False,
) -> MergeRequest:
    """A new merge request, with its pipeline. Raise 409 where the branch has one already."""
    _check_branches(project, source, target)
    head = project.repository.branches()[source].commit
    always = project.settings.get("squash_option") in ("always", "default_on")
    merge_request = MergeRequest(
        id=world.state.next_id("merge_request"),
        iid=len(project.merge_requests) + 1,
        project_id=project.id,
        title=title,
        source_branch=source,
        target_branch=target,
        author_id=user.id,
        sha=head,
        description=description,
        squash=always if squash is None else squash,
        remove_source_branch=remove_source,
    )
    project.merge_requests[merge_request.iid] = merge_request
    _new_version(world, project, merge_request)
    _start_pipeline(world, project, merge_request, user)
    announce(world, project, user, merge_request, "open")
    return merge_request


def _check_branches(project: Project, source: str, target: str) -> None:
    branches = project.repository.branches()
    if source == target:
        raise bad(["You can't use same project/branch for source and target"], 422)
    for field_name, branch in (("source_branch", source), ("target_branch", target)):
        if branch not in branches:
            raise bad({field_name: ["does not exist"]})
    for other in project.merge_requests.values():
        if (other.state, other.source_branch, other.target_branch) == ("opened", source, target):
            raise bad(
                [f"Another open merge request already exists for this source branch: !{other.iid}"],
                409,
            )


def announce(
    world: World,
    project: Project,
    user: User,
    merge_request: MergeRequest,
    action: str,
    oldrev: str | None = None,
) -> None:
    status = merge_status(world, project, merge_request)
    body = merge_request_body(
        world, project, user, merge_request, action, status=status, oldrev=oldrev
    )
    world.outbox.announce(project, "merge_requests_events", body)


def _new_version(world: World, project: Project, merge_request: MergeRequest) -> None:
    repository = project.repository
    target = repository.branches()[merge_request.target_branch].commit
    base = repository.merge_base(target, merge_request.sha) or target
    repository.update_ref(f"refs/merge-requests/{merge_request.iid}/head", merge_request.sha)
    merge_request.patch_id = repository.patch_id(base, merge_request.sha)
    merge_request.versions.append(
        Version(world.state.next_id("version"), merge_request.sha, base, target, now())
    )


def _start_pipeline(
    world: World, project: Project, merge_request: MergeRequest, user: User
) -> Pipeline:
    return pipelines.start(
        world,
        project,
        user,
        ref=f"refs/merge-requests/{merge_request.iid}/head",
        sha=merge_request.sha,
        before=merge_request.versions[-1].base,
        source="merge_request_event",
        merge_request=merge_request,
    )


def branch_moved(world: World, project: Project, user: User, change: RefChange) -> None:
    """Refresh the open merge requests of a branch that was pushed to, or is gone."""
    for merge_request in project.merge_requests.values():
        if merge_request.state != "opened":
            continue
        if change.branch == merge_request.source_branch:
            if change.deleted:
                close(world, project, user, merge_request)
            else:
                _head_moved(world, project, user, merge_request, change)
        elif change.branch == merge_request.target_branch and not change.deleted:
            _merged_by_hand(world, project, user, merge_request, change)


def _head_moved(
    world: World, project: Project, user: User, merge_request: MergeRequest, change: RefChange
) -> None:
    before = merge_request.patch_id
    merge_request.sha, merge_request.updated_at = change.new, now()
    _new_version(world, project, merge_request)
    resets = world.state.tier != "free" and project.approval_settings["reset_approvals_on_push"]
    if resets and before != merge_request.patch_id:
        merge_request.approvals.clear()
    _start_pipeline(world, project, merge_request, user)
    announce(world, project, user, merge_request, "update", oldrev=change.old)


def _merged_by_hand(
    world: World, project: Project, user: User, merge_request: MergeRequest, change: RefChange
) -> None:
    """A push that brings the head into the target merges the request, as GitLab notices."""
    if project.repository.is_ancestor(merge_request.sha, change.new):
        merge_request.state = "merged"
        merge_request.merge_user_id, merge_request.merged_at = user.id, now()
        merge_request.merge_commit_sha = change.new
        announce(world, project, user, merge_request, "merge")


def close(world: World, project: Project, user: User, merge_request: MergeRequest) -> None:
    merge_request.state, merge_request.closed_at = "closed", now()
    announce(world, project, user, merge_request, "close")


# approvals


def approve(
    world: World, project: Project, user: User, merge_request: MergeRequest, sha: str
) -> None:
    """Record an approval. Raise 401 for one that may not, 409 where the head is another."""
    check_sha(merge_request, sha)
    if not may_approve(world, project, user, merge_request):
        raise unauthorized()
    merge_request.approvals.append(ApprovalGiven(user.id, now()))
    merge_request.updated_at = now()
    done = not unmet_rules(world, project, merge_request)
    announce(world, project, user, merge_request, "approved" if done else "approval")


def unapprove(world: World, project: Project, user: User, merge_request: MergeRequest) -> None:
    """Take one's approval back. Raise 404 where there is none."""
    kept = [a for a in merge_request.approvals if a.user_id != user.id]
    if len(kept) == len(merge_request.approvals) or merge_request.state != "opened":
        raise missing("Approval")
    merge_request.approvals[:] = kept
    announce(world, project, user, merge_request, "unapproved")


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
    """User ids whose approval counts for a rule."""
    if rule.rule_type == "any_approver":
        members = world.state.project_members(project)
        return {i for i, m in members.items() if m.access_level >= DEVELOPER}
    found = set(rule.user_ids)
    for group_id in rule.group_ids:
        if (group := world.state.groups.get(group_id)) is not None:
            found |= set(world.state.group_members(group))
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


# merging


def commits_of(project: Project, merge_request: MergeRequest) -> list[Commit]:
    """Commits that the merge request brings, newest first."""
    version = merge_request.versions[-1]
    return project.repository.log(merge_request.sha, f"^{version.base}")


def head_pipeline(project: Project, merge_request: MergeRequest) -> Pipeline | None:
    """The newest pipeline of the head: of the merge request itself or of its source branch."""
    refs = (f"refs/merge-requests/{merge_request.iid}/head", merge_request.source_branch)
    found = [p for p in project.pipelines.values() if p.sha == merge_request.sha and p.ref in refs]
    return found[-1] if found else None


def merge_status(world: World, project: Project, merge_request: MergeRequest) -> str:
    """`detailed_merge_status`: mergeable, or the first thing in the way."""
    if merge_request.state != "opened":
        return "not_open"
    if merge_request.draft:
        return "draft_status"
    if _merged_tree(project, merge_request) is None:
        return "conflict"
    if project.settings["only_allow_merge_if_pipeline_succeeds"]:
        pipeline = head_pipeline(project, merge_request)
        if pipeline is not None and pipeline.active:
            return "ci_still_running"
        if pipeline is None or pipeline.status != "success":
            return "ci_must_pass"
    if project.settings["merge_method"] == "ff" and not _fast_forward(project, merge_request):
        return "need_rebase"
    return "not_approved" if unmet_rules(world, project, merge_request) else "mergeable"


def _target(project: Project, merge_request: MergeRequest) -> str:
    return project.repository.branches()[merge_request.target_branch].commit


def _merged_tree(project: Project, merge_request: MergeRequest) -> str | None:
    target = project.repository.branches().get(merge_request.target_branch)
    return project.repository.merged_tree(target.commit, merge_request.sha) if target else None


def _fast_forward(project: Project, merge_request: MergeRequest) -> bool:
    return project.repository.is_ancestor(_target(project, merge_request), merge_request.sha)


def merge(
    world: World, project: Project, user: User, merge_request: MergeRequest, order: MergeOrder
) -> list[RefChange]:
    """Merge, and say which refs moved. Raise 401, 405, 409 or 422 as GitLab does."""
    if not may_merge_into(project, world.state.role(user, project), merge_request.target_branch):
        raise unauthorized()
    if merge_status(world, project, merge_request) != "mergeable":
        raise bad("405 Method Not Allowed", 405)
    check_sha(merge_request, order.sha)
    squash = merge_request.squash if order.squash is None else order.squash
    option = project.settings["squash_option"]
    if option in ("always", "never"):
        squash = option == "always"
    target = _target(project, merge_request)
    result = _write_merge(world, project, user, merge_request, order, squash=squash)
    ref = f"refs/heads/{merge_request.target_branch}"
    project.repository.update_ref(ref, result, target)
    merge_request.state, merge_request.merge_user_id = "merged", user.id
    merge_request.merged_at = merge_request.updated_at = now()
    announce(world, project, user, merge_request, "merge")
    return [RefChange(ref, target, result), *_removed_source(project, merge_request, order)]


def _write_merge(
    world: World,
    project: Project,
    user: User,
    merge_request: MergeRequest,
    order: MergeOrder,
    *,
    squash: bool,
) -> str:
    """The target's new head: a squash commit and/or a merge commit, as the project merges."""
    repository = project.repository
    target, head = _target(project, merge_request), merge_request.sha
    fast_forward = project.settings["merge_method"] == "ff"
    tree = _merged_tree(project, merge_request)
    if tree is None:
        raise bad("Branch cannot be merged", 422)
    if squash:
        author = identity(world.state.users[merge_request.author_id])
        message = order.squash_message or merge_request.title
        base = target if fast_forward else merge_request.versions[-1].base
        content = tree if fast_forward else repository.tree_of(head)
        head = repository.commit_tree(content, [base], message, author, identity(user))
        merge_request.squash_commit_sha = head
    if fast_forward:
        return head
    message = order.merge_message or (
        f"Merge branch '{merge_request.source_branch}' into '{merge_request.target_branch}'\n\n"
        f"{merge_request.title}\n\nSee merge request {project.full_path}!{merge_request.iid}"
    )
    me = identity(user)
    merge_request.merge_commit_sha = repository.commit_tree(tree, [target, head], message, me, me)
    return merge_request.merge_commit_sha


def _removed_source(
    project: Project, merge_request: MergeRequest, order: MergeOrder
) -> list[RefChange]:
    """Delete the source branch where that was asked for; protected branches stay."""
    wanted = order.remove_source
    wanted = merge_request.remove_source_branch if wanted is None else wanted
    source = merge_request.source_branch
    protected = source in project.protected_branches or source == project.default_branch
    if not wanted or protected or source not in project.repository.branches():
        return []
    ref = f"refs/heads/{source}"
    old = project.repository.refs()[ref].target
    project.repository.delete_ref(ref)
    return [RefChange(ref, old, ZEROS)]
