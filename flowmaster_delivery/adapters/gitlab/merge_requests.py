"""Merged merge requests with their approvals, bound to the head that was merged."""

from __future__ import annotations

from datetime import datetime

from flowmaster_delivery.adapters.gitlab.client import Client, project_path
from flowmaster_delivery.adapters.gitlab.people import is_bot
from flowmaster_delivery.adapters.gitlab.shapes import (
    ApprovalsShape,
    ApprovedByShape,
    MergeRequestShape,
    VersionShape,
)
from flowmaster_delivery.model.errors import Malformed, NotFound, Unreachable
from flowmaster_delivery.model.source import MergeApproval, MergeRequest

UNSETTLED = frozenset({"unchecked", "checking", "preparing", "approvals_syncing"})
"""While GitLab is at these, its approvals may be about to be reset."""


def that_brought(client: Client, project: str, commit: str, target: str) -> MergeRequest | None:
    """The merged merge request into `target` whose merge, squash or own commit it is."""
    path = project_path(project, "repository", "commits", commit, "merge_requests")
    merged = [
        found
        for found in client.all(MergeRequestShape, path)
        if found.state == "merged" and found.target_branch == target
    ]
    if not merged:
        return None
    return _read(client, project, _nearest(merged, commit))


def _nearest(merged: list[MergeRequestShape], commit: str) -> int:
    """Number of the one that ended in the commit, else of the first that was merged with it."""

    def order(found: MergeRequestShape) -> tuple[bool, str, int]:
        ends = (found.merge_commit_sha, found.squash_commit_sha, found.sha)
        merged_at = found.merged_at.isoformat() if found.merged_at else "unknown: last"
        return commit not in ends, merged_at, found.iid

    return min(merged, key=order).iid


def _read(client: Client, project: str, iid: int) -> MergeRequest:
    """Approvals count for the head only if it was the same before and after they were read."""
    path = project_path(project, "merge_requests", str(iid))
    before = client.one(MergeRequestShape, path)
    approvals = client.one(ApprovalsShape, f"{path}/approvals").approved_by
    changed_at = _head_changed_at(client, path, before.sha)
    after = client.one(MergeRequestShape, path)
    if after.sha != before.sha or after.detailed_merge_status in UNSETTLED:
        raise Unreachable(f"GitLab is still working on {after.web_url or path}; ask again")
    if not after.sha:
        raise Malformed(f"GitLab tells no head of the merged {after.web_url or path}")
    return MergeRequest(
        iid=after.iid,
        title=after.title,
        author=after.author.person(),
        source_branch=after.source_branch,
        target_branch=after.target_branch,
        head=after.sha,
        head_changed_at=changed_at,
        merged_commit=after.merge_commit_sha or after.squash_commit_sha,
        approvals=tuple(_approval(given, path) for given in approvals if not is_bot(given.user)),
        url=after.web_url,
        labels=tuple(after.labels),
    )


def _approval(given: ApprovedByShape, path: str) -> MergeApproval:
    if given.approved_at is None:
        raise Malformed(
            f"GitLab does not tell when {given.user.username} approved {path}; "
            "a GitLab that does is needed to count approvals"
        )
    return MergeApproval(given.user.person(), given.approved_at)


def _head_changed_at(client: Client, path: str, head: str | None) -> datetime | None:
    """When the newest unbroken row of versions with this head began; None where GitLab has none."""
    try:
        versions = client.all(VersionShape, f"{path}/versions")
    except NotFound:
        return None
    changed_at = None
    for version in sorted(versions, key=lambda version: version.id, reverse=True):
        if version.head_commit_sha != head:
            break
        changed_at = version.created_at
    return changed_at
