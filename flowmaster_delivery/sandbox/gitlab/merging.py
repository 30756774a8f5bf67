"""Merging: the commits that it makes and the refs that it moves."""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster_delivery.sandbox.gitlab.access import RefChange, may_merge_into
from flowmaster_delivery.sandbox.gitlab.answers import bad, unauthorized
from flowmaster_delivery.sandbox.gitlab.approvals import check_sha
from flowmaster_delivery.sandbox.gitlab.merges import (
    announce,
    merge_status,
    merged_tree,
    target_head,
)
from flowmaster_delivery.sandbox.gitlab.records import (
    ZEROS,
    MergeRequest,
    now,
)
from flowmaster_delivery.sandbox.gitlab.state import Project, User
from flowmaster_delivery.sandbox.gitlab.world import World, identity


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """How to merge, as the request says; None leaves it to merge request and project."""

    sha: str = ""
    squash: bool | None = None
    remove_source: bool | None = None
    merge_message: str = ""
    squash_message: str = ""


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
    target = target_head(project, merge_request)
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
    target, head = target_head(project, merge_request), merge_request.sha
    fast_forward = project.settings["merge_method"] == "ff"
    tree = merged_tree(project, merge_request)
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
