"""Tags and branches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.access import (
    RefChange,
    may_create_tag,
    may_push_branch,
    protections,
)
from flowmaster_delivery.sandbox.gitlab.answers import (
    NO_CONTENT,
    Answer,
    ApiError,
    bad,
    forbidden,
    missing,
)
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.git_records import Ref
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.records import DEVELOPER, MAINTAINER, REPORTER, ZEROS
from flowmaster_delivery.sandbox.gitlab.state import Project
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
        assert isinstance(chosen, list)  # noqa: S101  # nosec B101  # for mypy alone
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
