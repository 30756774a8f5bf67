"""Projects, their settings, freeze periods, and what the registry holds of them."""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.answers import NO_CONTENT, Answer, forbidden, missing
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    MAINTAINER,
    OWNER,
    REPORTER,
    ZEROS,
)
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import DEFAULT_SETTINGS, identity

routes = Routes()


def project_of(call: Call, role: int = 0) -> Project:
    """The project of the path; raise 404 unseen, 401 or 403 where the role is too low."""
    project = call.world.find_project(call.user, call.path["id"])
    if role:
        call.world.require(call.user, project, role)
    return project


@routes.on("GET", "/projects")
def projects(call: Call) -> object:
    state, params = call.world.state, call.params
    found = [p for p in state.projects.values() if state.sees(call.user, p)]
    if wanted := params.text("search").lower():
        namespaces = params.flag("search_namespaces")
        found = [p for p in found if wanted in (p.full_path if namespaces else p.name).lower()]
    if params.flag("membership"):
        found = [p for p in found if call.someone.id in state.project_members(p)]
    found.sort(key=lambda p: p.id, reverse=params.text("sort", "desc") == "desc")
    if call.keyset:
        after, rising = params.number("id_after"), params.text("sort", "desc") == "asc"
        before = params.number("id_before")
        found = [
            p
            for p in found
            if (after is None or p.id > after) and (before is None or p.id < before)
        ]
        return _keyset(call, found, "id_after" if rising else "id_before")
    return call.paged(found, lambda p: show.project(call.world, p))


def _keyset(call: Call, found: list[Project], name: str) -> Answer:
    chosen = found[: call.per_page]
    headers = {}
    if len(found) > len(chosen):
        headers["Link"] = call.link("next", **{name: chosen[-1].id})
    return Answer([show.project(call.world, p) for p in chosen], headers=headers)


@routes.on("POST", "/projects")
def create_project(call: Call) -> object:
    world, params, asker = call.world, call.params, call.someone
    namespace = params.number("namespace_id")
    own = world.namespace_of(asker)
    group = own if namespace in (None, own.id) else world.find_group(asker, str(namespace))
    if world.group_role(asker, group) < DEVELOPER:
        raise forbidden()
    name = params.text("name") or params.need("path")
    path = params.text("path") or name.lower().replace(" ", "-")
    project = world.create_project(
        group, path, asker, name=name, default_branch=params.text("default_branch", "main")
    )
    _apply(call, project)
    if params.flag("initialize_with_readme"):
        branch = project.default_branch
        new = project.repository.write_commit(
            branch, {"README.md": f"# {name}\n".encode()}, "Initial commit", identity(asker), None
        )
        pushed(world, project, asker, [RefChange(f"refs/heads/{branch}", ZEROS, new)], ci=False)
    return Answer(show.project(world, project), 201)


def _apply(call: Call, project: Project) -> None:
    """Take over what the request says of the project's settings."""
    params = call.params
    project.description = params.text("description", project.description)
    project.visibility = params.text("visibility", project.visibility)
    project.default_branch = params.text("default_branch", project.default_branch)
    for name in DEFAULT_SETTINGS:
        if name in params:
            project.settings[name] = _setting(params.raw(name))


def _setting(value: Any) -> Any:
    return {"true": True, "false": False}.get(str(value).lower(), value)


@routes.on("GET", "/projects/:id")
def one_project(call: Call) -> object:
    project = project_of(call)
    role = call.world.state.role(call.user, project)
    access = {"project_access": {"access_level": role} if role else None, "group_access": None}
    return {**show.project(call.world, project), "permissions": access}


@routes.on("PUT", "/projects/:id")
def change_project(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    project.name = call.params.text("name", project.name)
    _apply(call, project)
    if project.default_branch in project.repository.branches():
        head = f"refs/heads/{project.default_branch}"
        project.repository.git("symbolic-ref", "HEAD", head)
    return show.project(call.world, project)


@routes.on("DELETE", "/projects/:id")
def delete_project(call: Call) -> object:
    project = project_of(call, OWNER)
    del call.world.state.projects[project.id]
    return Answer({"message": "202 Accepted"}, 202)


@routes.on("POST", "/projects/:id/share")
def share(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    group = call.world.find_group(call.user, call.params.need("group_id"))
    access = call.params.need_number("group_access")
    project.shares[group.id] = access
    body = {"id": group.id, "project_id": project.id, "group_id": group.id, "expires_at": None}
    return Answer({**body, "group_access": access}, 201)


@routes.on("DELETE", "/projects/:id/share/:group_id")
def unshare(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    if project.shares.pop(call.number("group_id"), None) is None:
        raise missing("Group")
    return NO_CONTENT


# the container registry, freeze periods, and what only paid tiers have


@routes.on("GET", "/projects/:id/registry/repositories")
def registry_repositories(call: Call) -> object:
    """One repository per image that the project's CI builds."""
    project = project_of(call, REPORTER)
    created = show.moment(project.created_at)
    found = [
        {
            "id": project.id * 1000 + index,
            "name": service.image,
            "path": f"{project.full_path}/{service.image}",
            "project_id": project.id,
            "location": f"{project.full_path}/{service.image}",
            "created_at": created,
            "cleanup_policy_started_at": None,
            "status": None,
        }
        for index, service in enumerate(project.ci.services)
    ]
    return call.paged(found, dict)


@routes.on("GET", "/projects/:id/freeze_periods")
def freeze_periods(call: Call) -> object:
    return call.paged(list(project_of(call, REPORTER).freeze_periods.values()), dict)


@routes.on("POST", "/projects/:id/freeze_periods")
def create_freeze_period(call: Call) -> object:
    project, params = project_of(call, MAINTAINER), call.params
    number = call.world.state.next_id("freeze_period")
    project.freeze_periods[number] = {
        "id": number,
        "freeze_start": params.need("freeze_start"),
        "freeze_end": params.need("freeze_end"),
        "cron_timezone": params.text("cron_timezone", "UTC"),
    }
    return Answer(dict(project.freeze_periods[number]), 201)


@routes.on("DELETE", "/projects/:id/freeze_periods/:period")
def delete_freeze_period(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    if project.freeze_periods.pop(call.number("period"), None) is None:
        raise missing("Freeze Period")
    return NO_CONTENT


@routes.on("GET", "/projects/:id/push_rule")
def push_rule(call: Call) -> object:
    """Never configured here: GitLab answers that with `null`."""
    call.premium()
    project_of(call, MAINTAINER)
    return None
