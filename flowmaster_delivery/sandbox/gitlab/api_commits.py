"""Commits, one by one, in lists and compared."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from flowmaster_delivery.sandbox.gitlab import show, show_delivery, show_merge_requests
from flowmaster_delivery.sandbox.gitlab.access import (
    RefChange,
    may_push_branch,
)
from flowmaster_delivery.sandbox.gitlab.answers import Answer, ApiError, bad, missing
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.records import DEVELOPER, REPORTER, ZEROS
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import identity

routes = Routes()


@routes.on("GET", "/projects/:id/repository/commits")
def commits(call: Call) -> object:
    """`ref_name` may be a range `a..b`; GitLab tells no total here."""
    project, params = project_of(call, REPORTER), call.params
    arguments = [_revision(call, project)] if not params.flag("all") else ["--branches", "--tags"]
    page = max(params.number("page", 1) or 1, 1)
    flags = [f"--skip={(page - 1) * call.per_page}", f"--max-count={call.per_page + 1}"]
    if params.flag("first_parent"):
        flags.append("--first-parent")
    times = {name: params.moment(name) for name in ("since", "until")}
    flags += [f"--{name}={at.isoformat()}" for name, at in times.items() if at is not None]
    if author := params.text("author"):
        flags.append(f"--author={author}")
    paths = [params.text("path")] if params.text("path") else []
    found = project.repository.log(*flags, *arguments, "--", *paths)
    more = len(found) > call.per_page
    headers = {
        "X-Page": str(page),
        "X-Per-Page": str(call.per_page),
        "X-Next-Page": str(page + 1) if more else "",
        "X-Prev-Page": str(page - 1) if page > 1 else "",
    }
    if more:
        headers["Link"] = call.link("next", page=page + 1)
    shown = [show.commit(call.world, project, c) for c in found[: call.per_page]]
    return Answer(shown, headers=headers)


def _revision(call: Call, project: Project) -> str:
    """A checked revision of the request; nothing of it reaches git unread."""
    name = call.params.text("ref_name") or project.default_branch
    if "..." not in name and ".." in name:
        base, head = name.split("..", 1)
        return f"{call.world.resolve(project, base)}..{call.world.resolve(project, head)}"
    return call.world.resolve(project, name)


@routes.on("POST", "/projects/:id/repository/commits")
def create_commit(call: Call) -> object:
    project, params, user = project_of(call, DEVELOPER), call.params, call.someone
    branch, message = params.need("branch"), params.need("commit_message")
    repository = project.repository
    if not may_push_branch(project, call.world.state.role(user, project), branch):
        raise bad("You are not allowed to push into this branch", 403)
    if not repository.valid_ref_name(branch):
        raise bad("Branch name is invalid")
    known = repository.branches().get(branch)
    start = known.commit if known else None
    if start is None and (origin := params.text("start_branch") or params.text("start_sha")):
        start = call.world.resolve(project, origin, "Branch")
    if start is None and repository.branches():
        raise bad("You can only create or edit files when you are on a branch")
    changes = _changes(project, start, params.raw("actions") or [])
    new = repository.write_commit(branch, changes, message, identity(user), start)
    old = known.commit if known else ZEROS
    pushed(call.world, project, user, [RefChange(f"refs/heads/{branch}", old, new)])
    return Answer(show.commit(call.world, project, repository.commit(new)), 201)


def _changes(
    project: Project, start: str | None, actions: Iterable[Any]
) -> dict[str, bytes | None]:
    """Files of the request's actions. Raise 400 in GitLab's words where one does not fit."""
    changes: dict[str, bytes | None] = {}
    for action in actions:
        kind, path = action.get("action"), str(action.get("file_path", ""))
        exists = start is not None and project.repository.blob(start, path) is not None
        if kind == "create" and exists:
            raise bad("A file with this name already exists")
        if kind in ("update", "delete", "move") and not exists and kind != "move":
            raise bad("A file with this name doesn't exist")
        if kind == "delete":
            changes[path] = None
            continue
        if kind == "move":
            changes[str(action.get("previous_path"))] = None
        changes[path] = _content(action)
    if not changes:
        raise ApiError(400, {"error": "actions is empty"})
    return changes


def _content(action: dict[str, Any]) -> bytes:
    text = str(action.get("content") or "")
    return base64.b64decode(text) if action.get("encoding") == "base64" else text.encode()


def _sha(call: Call, project: Project) -> str:
    return call.world.resolve(project, call.path["sha"])


COMMIT = "/projects/:id/repository/commits/:sha"


@routes.on("GET", COMMIT)
def one_commit(call: Call) -> object:
    project = project_of(call, REPORTER)
    commit = project.repository.commit(_sha(call, project))
    last = [p for p in project.pipelines.values() if p.sha == commit.id]
    return {
        **show.commit(call.world, project, commit),
        "status": last[-1].status if last else None,
        "project_id": project.id,
        "last_pipeline": show_delivery.pipeline_brief(call.world, project, last[-1])
        if last
        else None,
    }


@routes.on("GET", f"{COMMIT}/signature")
def signature(call: Call) -> object:
    _sha(call, project_of(call, REPORTER))
    raise missing("Signature")


@routes.on("GET", f"{COMMIT}/refs")
def commit_refs(call: Call) -> object:
    project, kind = project_of(call, REPORTER), call.params.text("type", "all")
    prefixes = {"refs/heads/": "branch", "refs/tags/": "tag"}
    found = [
        {"type": type_, "name": name.removeprefix(prefix)}
        for name in project.repository.refs_with(_sha(call, project))
        for prefix, type_ in prefixes.items()
        if name.startswith(prefix) and kind in ("all", type_)
    ]
    return call.paged(found, dict)


@routes.on("GET", f"{COMMIT}/merge_requests")
def commit_merge_requests(call: Call) -> object:
    """Merge requests that brought the commit: it is of their commits, or made by their merge."""
    project = project_of(call, REPORTER)
    sha = _sha(call, project)
    found = [
        m
        for m in project.merge_requests.values()
        if sha in (m.sha, m.merge_commit_sha, m.squash_commit_sha)
        or (
            project.repository.is_ancestor(sha, m.sha)
            and not project.repository.is_ancestor(sha, m.versions[-1].base)
        )
    ]
    found.sort(key=lambda m: -m.id)
    return call.paged(found, lambda m: show_merge_requests.merge_request(call.world, project, m))


@routes.on("GET", f"{COMMIT}/diff")
def commit_diff(call: Call) -> object:
    project = project_of(call, REPORTER)
    commit = project.repository.commit(_sha(call, project))
    diffs = project.repository.diff(commit.parents[0], commit.id) if commit.parents else []
    return call.paged(diffs, show.diff)


@routes.on("GET", "/projects/:id/repository/compare")
def compare(call: Call) -> object:
    project, world = project_of(call, REPORTER), call.world
    repository = project.repository
    base = world.resolve(project, call.params.need("from"), "Ref")
    head = world.resolve(project, call.params.need("to"), "Ref")
    start = base if call.params.flag("straight") else repository.merge_base(base, head) or base
    found = list(reversed(repository.log(head, f"^{base}")))
    return {
        "commit": show.commit(world, project, found[-1]) if found else None,
        "commits": [show.commit(world, project, c) for c in found],
        "diffs": [show.diff(d) for d in repository.diff(start, head)],
        "compare_timeout": False,
        "compare_same_ref": base == head,
        "web_url": world.web(project, "compare", f"{base}...{head}"),
    }


@routes.on("GET", "/projects/:id/repository/merge_base")
def merge_base(call: Call) -> object:
    project = project_of(call, REPORTER)
    refs = call.params.many("refs")
    if len(refs) < 2:
        raise bad("Provide at least 2 refs")
    found = project.repository.merge_base(
        *(call.world.resolve(project, ref, "Ref") for ref in refs)
    )
    if found is None:
        raise missing("Merge Base")
    return show.commit(call.world, project, project.repository.commit(found))
