"""Users, tokens, groups and members."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.http import (
    NO_CONTENT,
    Answer,
    ApiError,
    Call,
    Routes,
    bad,
    forbidden,
    missing,
    unauthorized,
)
from flowmaster_delivery.sandbox.gitlab.state import MAINTAINER, OWNER, Group, Member, Project, User

routes = Routes()
VERSION = "19.4.0-sandbox"


@routes.on("GET", "/version", "/metadata")
def version(call: Call) -> object:
    call.need_user()
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    enterprise = call.world.state.tier != "free"
    return {"version": VERSION, "revision": "sandbox", "kas": kas, "enterprise": enterprise}


@routes.on("GET", "/license")
def license_of(call: Call) -> object:
    call.premium()
    call.need_admin()
    return {"id": 1, "plan": "premium", "expired": False}


@routes.on("GET", "/user")
def own_user(call: Call) -> object:
    return show.user_full(call.world, call.someone, private=True)


@routes.on("GET", "/users")
def users(call: Call) -> object:
    """By `username` (exact), `search` (name, username; e-mail whole, parts for administrators)."""
    asker, params = call.someone, call.params
    found = list(call.world.state.users.values())
    if username := params.text("username").lower():
        found = [u for u in found if u.username.lower() == username]
    if wanted := params.text("search").lower():
        found = [u for u in found if _matches(u, wanted, admin=asker.admin)]
    if params.flag("active"):
        found = [u for u in found if u.state == "active"]
    found.sort(key=lambda u: -u.id)
    return call.paged(found, lambda u: show.user_full(call.world, u, private=asker.admin))


def _matches(user: User, wanted: str, *, admin: bool) -> bool:
    email = user.email.lower()
    by_email = wanted in email if admin else wanted == email
    return wanted in user.username.lower() or wanted in user.name.lower() or by_email


@routes.on("POST", "/users")
def create_user(call: Call) -> object:
    call.need_admin()
    params = call.params
    user = call.world.create_user(
        params.need("username"),
        params.need("name"),
        params.need("email"),
        admin=params.flag("admin"),
    )
    return Answer(show.user_full(call.world, user, private=True), 201)


def _user(call: Call) -> User:
    user = call.world.user(call.number("user_id"))
    if user is None:
        raise missing("User")
    return user


@routes.on("GET", "/users/:user_id")
def one_user(call: Call) -> object:
    return show.user_full(call.world, _user(call), private=call.someone.admin)


@routes.on("PUT", "/users/:user_id")
def change_user(call: Call) -> object:
    call.need_admin()
    user = _user(call)
    user.name = call.params.text("name", user.name)
    user.email = call.params.text("email", user.email)
    user.admin = call.params.flag("admin", default=user.admin)
    return show.user_full(call.world, user, private=True)


@routes.on("POST", "/users/:user_id/block", "/users/:user_id/unblock")
def block_user(call: Call) -> object:
    call.need_admin()
    user = _user(call)
    user.state = "active" if call.raw_path.endswith("/unblock") else "blocked"
    return Answer(body=True, status=201)


@routes.on("POST", "/users/:user_id/personal_access_tokens")
def create_token(call: Call) -> object:
    """A token of any user, for administrators: its text is told this once."""
    call.need_admin()
    scopes = call.params.many("scopes")
    if not scopes:
        raise ApiError(400, {"error": "scopes is missing"})
    token, text = call.world.state.new_token(
        _user(call), call.params.need("name"), scopes, call.params.raw("expires_at")
    )
    return Answer(show.token(token, text), 201)


@routes.on("GET", "/personal_access_tokens/self")
def own_token(call: Call) -> object:
    token = call.world.state.token_of(call.token)
    if token is None:
        raise unauthorized()
    return show.token(token)


@routes.on("DELETE", "/personal_access_tokens/self")
def revoke_own_token(call: Call) -> object:
    token = call.world.state.token_of(call.token)
    if token is None:
        raise unauthorized()
    token.revoked = True
    return NO_CONTENT


@routes.on("GET", "/personal_access_tokens")
def tokens(call: Call) -> object:
    asker = call.someone
    everything = call.world.state.tokens.values()
    return call.paged([t for t in everything if asker.admin or t.user_id == asker.id], show.token)


@routes.on("DELETE", "/personal_access_tokens/:token_id")
def revoke_token(call: Call) -> object:
    asker, number = call.someone, call.number("token_id")
    for token in call.world.state.tokens.values():
        if token.id == number and (asker.admin or token.user_id == asker.id):
            token.revoked = True
            return NO_CONTENT
    raise missing("Personal Access Token")


# groups


@routes.on("GET", "/groups")
def groups(call: Call) -> object:
    asker, wanted = call.someone, call.params.text("search").lower()
    found = [
        g
        for g in call.world.state.groups.values()
        if call.world.sees_group(asker, g) and wanted in g.full_path.lower()
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


@routes.on("DELETE", "/groups/:id")
def delete_group(call: Call) -> object:
    group, state = _group(call), call.world.state
    if call.world.group_role(call.someone, group) < OWNER:
        raise forbidden()
    for project in [p for p in state.projects.values() if p.namespace_id == group.id]:
        del state.projects[project.id]
    del state.groups[group.id]
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
