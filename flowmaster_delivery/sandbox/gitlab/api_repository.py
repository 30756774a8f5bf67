"""What is in a repository: tags, branches, commits, trees, files, comparisons."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any

from flowmaster_delivery.sandbox.gitlab import show, show_delivery
from flowmaster_delivery.sandbox.gitlab.access import (
    RefChange,
    may_create_tag,
    may_push_branch,
    protections,
)
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import (
    NO_CONTENT,
    Answer,
    ApiError,
    Call,
    Routes,
    bad,
    forbidden,
    missing,
)
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.repository import Ref
from flowmaster_delivery.sandbox.gitlab.state import DEVELOPER, MAINTAINER, REPORTER, ZEROS, Project
from flowmaster_delivery.sandbox.gitlab.world import identity

routes = Routes()
VERSION = re.compile(r"\d+|[^\d]+")


def _filtered(call: Call, refs: dict[str, Ref]) -> list[Ref]:
    """Refs whose name the request's `search` (`^start`, `end$`, part) or `regex` finds."""
    search, regex = call.params.text("search"), call.params.text("regex")
    if regex:
        try:
            pattern = re.compile(regex)
        except re.error:
            raise ApiError(400, {"error": "regex is invalid"}) from None
        return [ref for name, ref in refs.items() if pattern.search(name)]
    if search.startswith("^"):
        return [ref for name, ref in refs.items() if name.startswith(search[1:])]
    if search.endswith("$"):
        return [ref for name, ref in refs.items() if name.endswith(search[:-1])]
    return [ref for name, ref in refs.items() if search.lower() in name.lower()]


def _load(project: Project, refs: Iterable[Ref]) -> None:
    """Read the commits of a page of refs with one question."""
    project.repository.commits(ref.commit for ref in refs)


def _paged_refs(call: Call, project: Project, found: list[Ref], show_one: Any) -> Answer:
    first = ((call.params.number("page", 1) or 1) - 1) * call.per_page
    if call.keyset:
        answer = call.after(found, lambda r: r.name.split("/", 2)[2], lambda r: r)
        chosen = answer.body
        assert isinstance(chosen, list)  # noqa: S101
        _load(project, chosen)
        return Answer([show_one(ref) for ref in chosen], headers=answer.headers)
    _load(project, found[first : first + call.per_page])
    return call.paged(found, show_one)


# tags


@routes.on("GET", "/projects/:id/repository/tags")
def tags(call: Call) -> object:
    project, params = project_of(call, REPORTER), call.params
    found = _filtered(call, project.repository.tags())
    order = params.text("order_by", "updated")
    keys: dict[str, Any] = {
        "name": lambda r: r.name,
        "updated": lambda r: (r.changed, r.name),
        "version": lambda r: _version_key(r.name),
    }
    if order not in keys:
        raise ApiError(400, {"error": "order_by does not have a valid value"})
    found.sort(key=keys[order], reverse=params.text("sort", "desc") == "desc")
    return _paged_refs(call, project, found, lambda r: show.tag(call.world, project, r))


def _version_key(name: str) -> list[tuple[int, int, str]]:
    parts = VERSION.findall(name)
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts]


def _tag(call: Call, project: Project) -> Ref:
    ref = project.repository.tags().get(call.path["tag"])
    if ref is None:
        raise missing("Tag")
    return ref


@routes.on("GET", "/projects/:id/repository/tags/:tag")
def one_tag(call: Call) -> object:
    project = project_of(call, REPORTER)
    return show.tag(call.world, project, _tag(call, project))


@routes.on("GET", "/projects/:id/repository/tags/:tag/signature")
def tag_signature(call: Call) -> object:
    _tag(call, project_of(call, REPORTER))
    raise missing("Signature")


@routes.on("POST", "/projects/:id/repository/tags")
def create_tag(call: Call) -> object:
    project, params = project_of(call, DEVELOPER), call.params
    name, user = params.need("tag_name"), call.someone
    sha = project.repository.resolve(params.need("ref"))
    if not may_create_tag(project, call.world.state.role(user, project), name):
        raise forbidden()
    if name in project.repository.tags():
        raise bad(f"Tag {name} already exists")
    if not project.repository.valid_ref_name(name):
        raise bad("Tag name invalid")
    if sha is None:
        raise bad(f"Target {params.text('ref')} is invalid")
    project.repository.create_tag(name, sha, params.text("message"), identity(user))
    ref = project.repository.tags()[name]
    pushed(call.world, project, user, [RefChange(ref.name, ZEROS, ref.target)])
    return Answer(show.tag(call.world, project, ref), 201)


@routes.on("DELETE", "/projects/:id/repository/tags/:tag")
def delete_tag(call: Call) -> object:
    project = project_of(call, DEVELOPER)
    ref = _tag(call, project)
    role = call.world.state.role(call.user, project)
    if protections(project.protected_tags.values(), call.path["tag"]) and role < MAINTAINER:
        raise forbidden()
    project.repository.delete_ref(ref.name)
    pushed(call.world, project, call.someone, [RefChange(ref.name, ref.target, ZEROS)])
    return NO_CONTENT


# branches


@routes.on("GET", "/projects/:id/repository/branches")
def branches(call: Call) -> object:
    project = project_of(call, REPORTER)
    found = sorted(_filtered(call, project.repository.branches()), key=lambda r: r.name)
    return _paged_refs(
        call, project, found, lambda r: show.branch(call.world, project, r, call.user)
    )


def _branch(call: Call, project: Project) -> Ref:
    ref = project.repository.branches().get(call.path["branch"])
    if ref is None:
        raise missing("Branch")
    return ref


@routes.on("GET", "/projects/:id/repository/branches/:branch")
def one_branch(call: Call) -> object:
    project = project_of(call, REPORTER)
    return show.branch(call.world, project, _branch(call, project), call.user)


@routes.on("POST", "/projects/:id/repository/branches")
def create_branch(call: Call) -> object:
    project, params = project_of(call, DEVELOPER), call.params
    name, start = params.need("branch"), params.need("ref")
    sha = project.repository.resolve(start)
    if name in project.repository.branches():
        raise bad("Branch already exists")
    if not project.repository.valid_ref_name(name):
        raise bad("Branch name is invalid")
    if sha is None:
        raise bad(f"Failed to create branch '{name}': invalid reference name '{start}'")
    if not may_push_branch(project, call.world.state.role(call.user, project), name):
        raise forbidden()
    project.repository.update_ref(f"refs/heads/{name}", sha, ZEROS)
    pushed(call.world, project, call.someone, [RefChange(f"refs/heads/{name}", ZEROS, sha)])
    ref = project.repository.branches()[name]
    return Answer(show.branch(call.world, project, ref, call.user), 201)


@routes.on("DELETE", "/projects/:id/repository/branches/:branch")
def delete_branch(call: Call) -> object:
    project = project_of(call, DEVELOPER)
    ref, name = _branch(call, project), call.path["branch"]
    role = call.world.state.role(call.user, project)
    if name == project.default_branch:
        raise bad("The default branch cannot be deleted", 403)
    if protections(project.protected_branches.values(), name) and role < MAINTAINER:
        raise forbidden()
    project.repository.delete_ref(ref.name)
    pushed(call.world, project, call.someone, [RefChange(ref.name, ref.target, ZEROS)])
    return NO_CONTENT


# commits


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
    return call.paged(found, lambda m: show_delivery.merge_request(call.world, project, m))


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


# trees and files


@routes.on("GET", "/projects/:id/repository/tree")
def tree(call: Call) -> object:
    project, params = project_of(call, REPORTER), call.params
    sha = call.world.resolve(project, params.text("ref") or project.default_branch, "Tree")
    path, deep = params.text("path").strip("/"), params.flag("recursive")
    entries = project.repository.tree(sha, path, recursive=deep)
    if entries is None:
        raise missing("invalid revision or path" if not path else "Tree")
    shown = [
        {
            "id": e.id,
            "name": e.path.rsplit("/", 1)[-1],
            "type": e.type,
            "path": e.path,
            "mode": e.mode,
        }
        for e in entries
    ]
    if call.keyset:
        return call.after(shown, lambda e: str(e["id"]), dict)
    return call.paged(shown, dict)


FILE = "/projects/:id/repository/files/:path"


def _file(call: Call) -> tuple[Project, str, str, bytes]:
    """Project, commit, object id and content of the file that the path names."""
    project = project_of(call, REPORTER)
    ref = call.params.text("ref", "HEAD")
    name = project.default_branch if ref == "HEAD" else ref
    sha = call.world.resolve(project, name, "Commit")
    found = project.repository.blob(sha, call.path["path"])
    if found is None:
        raise missing("File")
    return project, sha, *found


@routes.on("GET", FILE)
def one_file(call: Call) -> object:
    project, sha, oid, content = _file(call)
    path = call.path["path"]
    last = project.repository.log("--max-count=1", sha, "--", path)
    return {
        "file_name": path.rsplit("/", 1)[-1],
        "file_path": path,
        "size": len(content),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "ref": call.params.text("ref", "HEAD"),
        "blob_id": oid,
        "commit_id": sha,
        "last_commit_id": last[0].id if last else sha,
        "execute_filemode": False,
        "content": base64.b64encode(content).decode(),
    }


@routes.on("HEAD", FILE)
def file_head(call: Call) -> object:
    _, sha, oid, content = _file(call)
    headers = {
        "X-Gitlab-File-Path": call.path["path"],
        "X-Gitlab-Blob-Id": oid,
        "X-Gitlab-Commit-Id": sha,
        "X-Gitlab-Size": str(len(content)),
        "X-Gitlab-Content-Sha256": hashlib.sha256(content).hexdigest(),
    }
    return Answer(b"", headers=headers)


@routes.on("GET", f"{FILE}/raw")
def raw_file(call: Call) -> object:
    content = _file(call)[3]
    return Answer(content, headers={"Content-Type": "text/plain; charset=utf-8"})


@routes.on("POST", FILE)
@routes.on("PUT", FILE)
@routes.on("DELETE", FILE)
def write_file(call: Call) -> object:
    """One file, as a commit of its own."""
    kind = {"POST": "create", "PUT": "update", "DELETE": "delete"}[call.method]
    params, path = call.params, call.path["path"]
    action = {
        "action": kind,
        "file_path": path,
        "content": params.raw("content"),
        "encoding": params.raw("encoding"),
    }
    params.values["actions"] = [action]
    create_commit(call)
    branch = params.text("branch")
    if kind == "delete":
        return NO_CONTENT
    return Answer({"file_path": path, "branch": branch}, 201 if kind == "create" else 200)
