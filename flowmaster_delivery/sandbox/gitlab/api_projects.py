"""Projects, their settings, protected branches and tags, variables, and what the registry holds."""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.access import RefChange
from flowmaster_delivery.sandbox.gitlab.http import (
    NO_CONTENT,
    Answer,
    Call,
    Routes,
    bad,
    forbidden,
    missing,
)
from flowmaster_delivery.sandbox.gitlab.pushes import pushed
from flowmaster_delivery.sandbox.gitlab.state import (
    DEVELOPER,
    MAINTAINER,
    OWNER,
    REPORTER,
    ZEROS,
    Project,
    ProtectedRef,
)
from flowmaster_delivery.sandbox.gitlab.world import DEFAULT_SETTINGS, first, identity

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
    if namespace is None:
        raise bad({"namespace": ["is missing: the sandbox has projects in groups only"]})
    group = world.find_group(asker, str(namespace))
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


# protected branches and tags


def _level(call: Call, name: str, default: int = MAINTAINER) -> int:
    """An access level of the request; premium's lists count by their lowest role."""
    listed = call.params.raw(f"allowed_to_{name.split('_', maxsplit=1)[0]}")
    if isinstance(listed, list) and listed and call.world.state.tier != "free":
        levels = [int(entry["access_level"]) for entry in listed if "access_level" in entry]
        return min(levels, default=default)
    level = call.params.number(name, default)
    if level not in (0, 30, 40, 60):
        raise bad(f"{name} does not have a valid value")
    return level


@routes.on("GET", "/projects/:id/protected_branches")
def protected_branches(call: Call) -> object:
    rules = list(project_of(call, DEVELOPER).protected_branches.values())
    wanted = call.params.text("search")
    found = [r for r in rules if wanted in r.name]
    return call.paged(found, lambda r: show.protected_branch(call.world, r))


def _protected(call: Call, rules: dict[str, ProtectedRef]) -> ProtectedRef:
    if (rule := rules.get(call.path["name"])) is None:
        raise missing("Protected Ref")
    return rule


@routes.on("GET", "/projects/:id/protected_branches/:name")
def protected_branch(call: Call) -> object:
    project = project_of(call, DEVELOPER)
    return show.protected_branch(call.world, _protected(call, project.protected_branches))


@routes.on("POST", "/projects/:id/protected_branches")
def protect_branch(call: Call) -> object:
    project, name = project_of(call, MAINTAINER), call.params.need("name")
    if name in project.protected_branches:
        raise bad(f"Protected branch '{name}' already exists", 409)
    rule = call.world.protect_branch(
        project,
        name,
        _level(call, "push_access_level"),
        _level(call, "merge_access_level"),
        allow_force_push=call.params.flag("allow_force_push"),
    )
    return Answer(show.protected_branch(call.world, rule), 201)


@routes.on("PATCH", "/projects/:id/protected_branches/:name")
def change_protected_branch(call: Call) -> object:
    """Force push may be changed on every tier; levels only by premium's lists."""
    project = project_of(call, MAINTAINER)
    rule = _protected(call, project.protected_branches)
    rule.allow_force_push = call.params.flag("allow_force_push", default=rule.allow_force_push)
    if call.world.state.tier != "free":
        rule.push = _level(call, "push", rule.push)
        rule.merge = _level(call, "merge", rule.merge)
    return show.protected_branch(call.world, rule)


@routes.on("DELETE", "/projects/:id/protected_branches/:name")
def unprotect_branch(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    del project.protected_branches[_protected(call, project.protected_branches).name]
    return NO_CONTENT


@routes.on("GET", "/projects/:id/protected_tags")
def protected_tags(call: Call) -> object:
    return call.paged(list(project_of(call, DEVELOPER).protected_tags.values()), show.protected_tag)


@routes.on("GET", "/projects/:id/protected_tags/:name")
def protected_tag(call: Call) -> object:
    return show.protected_tag(_protected(call, project_of(call, DEVELOPER).protected_tags))


@routes.on("POST", "/projects/:id/protected_tags")
def protect_tag(call: Call) -> object:
    project, name = project_of(call, MAINTAINER), call.params.need("name")
    if name in project.protected_tags:
        raise bad(f"Protected tag '{name}' already exists", 409)
    rule = call.world.protect_tag(project, name, _level(call, "create_access_level"))
    return Answer(show.protected_tag(rule), 201)


@routes.on("DELETE", "/projects/:id/protected_tags/:name")
def unprotect_tag(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    del project.protected_tags[_protected(call, project.protected_tags).name]
    return NO_CONTENT


# variables


def _variable(call: Call, project: Project) -> dict[str, Any]:
    scope = call.params.raw("filter", {}).get("environment_scope")
    found = [
        v
        for v in project.variables
        if v["key"] == call.path["key"] and scope in (None, v["environment_scope"])
    ]
    if len(found) > 1:
        raise bad("There are multiple variables with provided parameters. Please use 'filter'", 409)
    variable: dict[str, Any] = first(found, missing("Variable"))
    return variable


def _fill_variable(call: Call, variable: dict[str, Any]) -> dict[str, Any]:
    params = call.params
    for name in ("value", "variable_type", "environment_scope", "description"):
        if name in params:
            variable[name] = params.raw(name)
    for name in ("protected", "masked", "raw"):
        variable[name] = params.flag(name, default=variable[name])
    value = str(variable["value"])
    if variable["masked"] and (len(value) < 8 or any(c.isspace() for c in value)):
        raise bad({"value": ["is invalid"]})
    return variable


@routes.on("GET", "/projects/:id/variables")
def variables(call: Call) -> object:
    return call.paged(project_of(call, MAINTAINER).variables, dict)


@routes.on("POST", "/projects/:id/variables")
def create_variable(call: Call) -> object:
    project, key = project_of(call, MAINTAINER), call.params.need("key")
    blank = {
        "key": key,
        "value": call.params.need("value"),
        "variable_type": "env_var",
        "protected": False,
        "masked": False,
        "hidden": False,
        "raw": False,
        "environment_scope": "*",
        "description": None,
    }
    variable = _fill_variable(call, blank)
    scope = variable["environment_scope"]
    if any((v["key"], v["environment_scope"]) == (key, scope) for v in project.variables):
        raise bad({"key": [f"({key}) has already been taken"]})
    project.variables.append(variable)
    return Answer(dict(variable), 201)


@routes.on("GET", "/projects/:id/variables/:key")
def one_variable(call: Call) -> object:
    return dict(_variable(call, project_of(call, MAINTAINER)))


@routes.on("PUT", "/projects/:id/variables/:key")
def change_variable(call: Call) -> object:
    return dict(_fill_variable(call, _variable(call, project_of(call, MAINTAINER))))


@routes.on("DELETE", "/projects/:id/variables/:key")
def delete_variable(call: Call) -> object:
    project = project_of(call, MAINTAINER)
    project.variables.remove(_variable(call, project))
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
