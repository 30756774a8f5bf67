"""Protected branches and tags, and CI variables."""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.answers import NO_CONTENT, Answer, bad, missing
from flowmaster_delivery.sandbox.gitlab.api_projects import project_of
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import (
    DEVELOPER,
    MAINTAINER,
    ProtectedRef,
)
from flowmaster_delivery.sandbox.gitlab.state import Project
from flowmaster_delivery.sandbox.gitlab.world import first

routes = Routes()


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
