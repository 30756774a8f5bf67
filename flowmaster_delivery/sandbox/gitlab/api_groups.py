"""Groups, and the members of groups and projects."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.answers import (
    NO_CONTENT,
    Answer,
    ApiError,
    bad,
    forbidden,
    missing,
)
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.records import MAINTAINER, OWNER
from flowmaster_delivery.sandbox.gitlab.state import Group, Member, Project

routes = Routes()


@routes.on("GET", "/groups")
def groups(call: Call) -> object:
    asker, wanted = call.someone, call.params.text("search").lower()
    found = [
        g
        for g in call.world.state.groups.values()
        if g.kind == "group" and call.world.sees_group(asker, g) and wanted in g.full_path.lower()
    ]
    found.sort(key=lambda g: g.full_path)
    return call.paged(found, lambda g: show.group(call.world, g))


@routes.on("POST", "/groups")
def create_group(call: Call) -> object:
    world, params, asker = call.world, call.params, call.someone
    path = params.need("path")
    if (parent_id := params.number("parent_id")) is not None:
        parent = world.find_group(asker, str(parent_id))
        if world.group_role(asker, parent) < OWNER:
            raise forbidden()
        path = f"{parent.full_path}/{path}"
    group = world.create_group(path, params.need("name"), asker)
    group.visibility = params.text("visibility", "private")
    return Answer(show.group(world, group), 201)


def _group(call: Call) -> Group:
    return call.world.find_group(call.user, call.path["id"])


@routes.on("GET", "/groups/:id")
def one_group(call: Call) -> object:
    group = _group(call)
    inside = [p for p in call.world.state.projects.values() if p.namespace_id == group.id]
    seen = [p for p in inside if call.world.state.sees(call.user, p)]
    return {
        **show.group(call.world, group),
        "projects": [show.project(call.world, p) for p in seen],
        "shared_with_groups": [],
    }


@routes.on("GET", "/namespaces")
def namespaces(call: Call) -> object:
    """The asker's own, and the groups that the asker sees."""
    world, asker, wanted = call.world, call.someone, call.params.text("search").lower()
    own = world.namespace_of(asker)
    seen = [
        g
        for g in world.state.groups.values()
        if (g is own or (g.kind == "group" and world.sees_group(asker, g)))
        and wanted in g.full_path.lower()
    ]
    return call.paged(seen, lambda g: show.namespace(world, g))


@routes.on("GET", "/namespaces/:id")
def one_namespace(call: Call) -> object:
    identity = call.path["id"]
    own = call.world.namespace_of(call.someone)
    mine = identity in (str(own.id), own.full_path)
    return show.namespace(call.world, own if mine else call.world.find_group(call.user, identity))


@routes.on("PUT", "/groups/:id")
def change_group(call: Call) -> object:
    group = _group(call)
    if call.world.group_role(call.someone, group) < OWNER:
        raise forbidden()
    group.name = call.params.text("name", group.name)
    group.visibility = call.params.text("visibility", group.visibility)
    return show.group(call.world, group)


@routes.on("DELETE", "/groups/:id")
def delete_group(call: Call) -> object:
    group, state = _group(call), call.world.state
    if call.world.group_role(call.someone, group) < OWNER:
        raise forbidden()
    for project in list(state.projects.values()):
        if group in state.group_line(project.namespace_id):
            del state.projects[project.id]
    for below in [g for g in state.groups.values() if group in state.group_line(g.id)]:
        del state.groups[below.id]
    return Answer({"message": "202 Accepted"}, 202)


@routes.on("GET", "/groups/:id/projects")
def group_projects(call: Call) -> object:
    """Of the group alone, or below it too with `include_subgroups`."""
    group, state = _group(call), call.world.state
    deep = call.params.flag("include_subgroups")
    found = [
        p
        for p in state.projects.values()
        if state.sees(call.user, p)
        and (p.namespace_id == group.id or (deep and group in state.group_line(p.namespace_id)))
    ]
    return call.paged(found, lambda p: show.project(call.world, p))


@routes.on("GET", "/groups/:id/subgroups")
def subgroups(call: Call) -> object:
    group = _group(call)
    found = [g for g in call.world.state.groups.values() if g.parent_id == group.id]
    return call.paged(found, lambda g: show.group(call.world, g))


# members of groups and projects


def _holder(call: Call) -> Group | Project:
    if call.raw_path.startswith("/projects/"):
        return call.world.find_project(call.user, call.path["id"])
    return _group(call)


def _everybody(call: Call, holder: Group | Project) -> dict[int, Member]:
    state = call.world.state
    if isinstance(holder, Project):
        return state.project_members(holder)
    return state.group_members(holder)


def _manages(call: Call, holder: Group | Project) -> None:
    """Raise 403 where the asker may not change members."""
    if isinstance(holder, Project):
        call.world.require(call.user, holder, MAINTAINER)
    elif call.world.group_role(call.someone, holder) < OWNER:
        raise forbidden()


def _shown_members(call: Call, members: dict[int, Member]) -> Answer:
    wanted = call.params.text("query").lower()
    found = [
        member
        for user_id, member in sorted(members.items())
        if (user := call.world.user(user_id))
        and (wanted in user.username.lower() or wanted in user.name.lower())
    ]
    return call.paged(found, lambda m: show.member(call.world, m))


MEMBERS = ("/projects/:id/members", "/groups/:id/members")
MEMBER = tuple(f"{path}/:user_id" for path in MEMBERS)


@routes.on("GET", *(f"{path}/all" for path in MEMBERS))
def all_members(call: Call) -> object:
    return _shown_members(call, _everybody(call, _holder(call)))


@routes.on("GET", *MEMBERS)
def members(call: Call) -> object:
    return _shown_members(call, _holder(call).members)


@routes.on("GET", *(f"{path}/all/:user_id" for path in MEMBERS))
def member_of_all(call: Call) -> object:
    found = _everybody(call, _holder(call)).get(call.number("user_id"))
    if found is None:
        raise missing("Member")
    return show.member(call.world, found)


@routes.on("GET", *MEMBER)
def one_member(call: Call) -> object:
    return show.member(call.world, _direct(call, _holder(call)))


def _direct(call: Call, holder: Group | Project) -> Member:
    found = holder.members.get(call.number("user_id"))
    if found is None:
        raise missing("Member")
    return found


@routes.on("POST", *MEMBERS)
def add_member(call: Call) -> object:
    holder, params = _holder(call), call.params
    _manages(call, holder)
    if "user_id" not in params and "username" not in params:
        raise ApiError(400, {"error": "user_id, username are missing, at least one is required"})
    user = (
        call.world.user(params.number("user_id"))
        if "user_id" in params
        else call.world.state.user_named(params.text("username"))
    )
    if user is None:
        raise missing("User")
    if user.id in holder.members:
        raise bad("Member already exists", 409)
    member = Member(user.id, params.need_number("access_level"), params.raw("expires_at"))
    holder.members[user.id] = member
    return Answer(show.member(call.world, member), 201)


@routes.on("PUT", *MEMBER)
def change_member(call: Call) -> object:
    holder = _holder(call)
    _manages(call, holder)
    member = _direct(call, holder)
    member.access_level = call.params.need_number("access_level")
    member.expires_at = call.params.raw("expires_at", member.expires_at)
    return show.member(call.world, member)


@routes.on("DELETE", *MEMBER)
def remove_member(call: Call) -> object:
    holder = _holder(call)
    if call.someone.id != call.number("user_id"):
        _manages(call, holder)
    del holder.members[_direct(call, holder).user_id]
    return NO_CONTENT
