"""Merge requests: what they are, and merging."""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster_delivery.sandbox.gitlab import (
    approvals,
    merges,
    merging,
    show,
    show_delivery,
    show_merge_requests,
)
from flowmaster_delivery.sandbox.gitlab.answers import Answer, forbidden, missing
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.merging import MergeOrder
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    REPORTER,
    MergeRequest,
    now,
)
from flowmaster_delivery.sandbox.gitlab.state import Project

routes = Routes()
MANY = "/projects/:id/merge_requests"
ONE = f"{MANY}/:iid"


def one_of(call: Call, role: int = REPORTER) -> tuple[Project, MergeRequest]:
    project = project_of(call, role)
    if (found := project.merge_requests.get(call.number("iid"))) is None:
        raise missing("Merge Request")
    return project, found


def _shown(call: Call, project: Project, merge_request: MergeRequest) -> dict[str, object]:
    return show_merge_requests.merge_request(call.world, project, merge_request)


def _matching(call: Call, found: Iterable[MergeRequest]) -> list[MergeRequest]:
    """Filters and order of a merge request list."""
    params = call.params
    state = params.text("state", "all")
    for name in ("source_branch", "target_branch"):
        if wanted := params.text(name):
            found = [m for m in found if getattr(m, name) == wanted]
    if iids := params.numbers("iids"):
        found = [m for m in found if m.iid in iids]
    if author := params.number("author_id"):
        found = [m for m in found if m.author_id == author]
    if username := params.text("author_username"):
        user = call.world.state.user_named(username)
        found = [m for m in found if user is not None and m.author_id == user.id]
    if (after := params.moment("updated_after")) is not None:
        found = [m for m in found if m.updated_at >= after]
    if state != "all":
        found = [m for m in found if m.state == state]
    by_update = params.text("order_by") == "updated_at"
    down = params.text("sort", "desc") == "desc"
    return sorted(
        found, key=lambda m: (m.updated_at if by_update else m.created_at, m.id), reverse=down
    )


@routes.on("GET", MANY)
def merge_requests(call: Call) -> object:
    project = project_of(call, REPORTER)
    found = _matching(call, project.merge_requests.values())
    return call.paged(found, lambda m: _shown(call, project, m))


@routes.on("GET", "/merge_requests")
def all_merge_requests(call: Call) -> object:
    """Of every project seen; by default those that the asker opened."""
    state, asker = call.world.state, call.someone
    seen = [p for p in state.projects.values() if state.sees(asker, p)]
    found = _matching(call, (m for p in seen for m in p.merge_requests.values()))
    if call.params.text("scope", "created_by_me") == "created_by_me":
        found = [m for m in found if m.author_id == asker.id]
    return call.paged(found, lambda m: _shown(call, state.projects[m.project_id], m))


@routes.on("POST", MANY)
def create_merge_request(call: Call) -> object:
    project, params = project_of(call, DEVELOPER), call.params
    created = merges.open_merge_request(
        call.world,
        project,
        call.someone,
        source=params.need("source_branch"),
        target=params.need("target_branch"),
        title=params.need("title"),
        description=params.text("description"),
        squash=params.flag("squash") if "squash" in params else None,
        remove_source=params.flag("remove_source_branch"),
    )
    created.labels = params.many("labels")
    created.reviewer_ids = params.numbers("reviewer_ids")
    created.assignee_ids = params.numbers("assignee_ids")
    return Answer(_shown(call, project, created), 201)


@routes.on("GET", ONE)
def one_merge_request(call: Call) -> object:
    project, found = one_of(call)
    return _shown(call, project, found)


@routes.on("PUT", ONE)
def change_merge_request(call: Call) -> object:
    project, found = one_of(call, DEVELOPER)
    params, user = call.params, call.someone
    if user.id != found.author_id and call.world.state.role(user, project) < DEVELOPER:
        raise forbidden()
    found.title = params.text("title", found.title)
    found.description = params.text("description", found.description)
    found.squash = params.flag("squash", default=found.squash)
    found.labels = params.many("labels") if "labels" in params else found.labels
    found.updated_at = now()
    event = params.text("state_event")
    if event == "close" and found.state == "opened":
        merges.close(call.world, project, user, found)
    elif event == "reopen" and found.state == "closed":
        found.state, found.closed_at = "opened", None
        merges.announce(call.world, project, user, found, "reopen")
    else:
        merges.announce(call.world, project, user, found, "update")
    return _shown(call, project, found)


@routes.on("GET", f"{ONE}/commits")
def commits(call: Call) -> object:
    project, found = one_of(call)
    return call.paged(
        approvals.commits_of(project, found), lambda c: show.commit(call.world, project, c)
    )


@routes.on("GET", f"{ONE}/diffs")
def diffs(call: Call) -> object:
    project, found = one_of(call)
    version = found.versions[-1]
    return call.paged(project.repository.diff(version.base, version.head), show.diff)


@routes.on("GET", f"{ONE}/changes")
def changes(call: Call) -> object:
    project, found = one_of(call)
    version = found.versions[-1]
    shown = [show.diff(d) for d in project.repository.diff(version.base, version.head)]
    return {**_shown(call, project, found), "changes": shown, "overflow": False}


@routes.on("GET", f"{ONE}/versions")
def versions(call: Call) -> object:
    """Every state that the merge request had, newest first."""
    _, found = one_of(call)
    shown = [
        {
            "id": version.id,
            "head_commit_sha": version.head,
            "base_commit_sha": version.base,
            "start_commit_sha": version.start,
            "created_at": show.moment(version.at),
            "merge_request_id": found.id,
            "state": "collected",
            "real_size": "1",
        }
        for version in reversed(found.versions)
    ]
    return call.paged(shown, dict)


@routes.on("GET", f"{ONE}/pipelines")
def merge_request_pipelines(call: Call) -> object:
    project, found = one_of(call)
    heads = {version.head for version in found.versions}
    refs = (f"refs/merge-requests/{found.iid}/head", found.source_branch)
    shown = [p for p in project.pipelines.values() if p.sha in heads and p.ref in refs]
    shown.reverse()
    return call.paged(shown, lambda p: show_delivery.pipeline_brief(call.world, project, p))


@routes.on("PUT", f"{ONE}/merge")
def merge(call: Call) -> object:
    project, found = one_of(call)
    params = call.params
    order = MergeOrder(
        sha=params.text("sha"),
        squash=params.flag("squash") if "squash" in params else None,
        remove_source=params.flag("should_remove_source_branch")
        if "should_remove_source_branch" in params
        else None,
        merge_message=params.text("merge_commit_message"),
        squash_message=params.text("squash_commit_message"),
    )
    moved = merging.merge(call.world, project, call.someone, found, order)
    pushed(call.world, project, call.someone, moved)
    return _shown(call, project, found)
