"""Users and their tokens, and what this server says it is."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab import show
from flowmaster_delivery.sandbox.gitlab.answers import (
    NO_CONTENT,
    Answer,
    ApiError,
    missing,
    unauthorized,
)
from flowmaster_delivery.sandbox.gitlab.http import Call, Routes
from flowmaster_delivery.sandbox.gitlab.state import User

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


@routes.on(
    "POST",
    "/users/:user_id/personal_access_tokens",
    "/users/:user_id/impersonation_tokens",
)
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
