"""Merge requests: their state, who approves and who may, and the merge itself.

On the free tier everybody from developer up may approve, the author too, and an approval outlives
later pushes. On premium, rules say how many of whom, authors are excluded unless the project lets
them, and a push that changes the diff (its patch id) takes approvals away.
"""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import pipelines
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.answers import bad, missing, unauthorized
from flowmaster_delivery.sandbox.gitlab.approvals import check_sha, may_approve, unmet_rules
from flowmaster_delivery.sandbox.gitlab.hook_bodies import merge_request_body
from flowmaster_delivery.sandbox.gitlab.records import (
    ApprovalGiven,
    MergeRequest,
    Pipeline,
    Version,
    now,
)
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.world import World


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


# merging


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
    if merged_tree(project, merge_request) is None:
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


def target_head(project: Project, merge_request: MergeRequest) -> str:
    return project.repository.branches()[merge_request.target_branch].commit


def merged_tree(project: Project, merge_request: MergeRequest) -> str | None:
    target = project.repository.branches().get(merge_request.target_branch)
    return project.repository.merged_tree(target.commit, merge_request.sha) if target else None


def _fast_forward(project: Project, merge_request: MergeRequest) -> bool:
    return project.repository.is_ancestor(target_head(project, merge_request), merge_request.sha)
