"""Claims: what GitLab tells an application about who signed in.

Source: config/initializers/doorkeeper_openid_connect.rb of GitLab. The username stands in the
answer of /oauth/userinfo; not every release puts it into the ID token too, so this one does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.gitlab.oauth import Given, Wish
from flowmaster_delivery.sandbox.gitlab.state import Group, User
from flowmaster_delivery.sandbox.gitlab.world import World

ID_TOKEN_LASTS = timedelta(seconds=120)
ROLES = {"owner": 50, "maintainer": 40, "developer": 30}


def id_token(world: World, user: User, given: Given, now: datetime, *, nonce: bool) -> str:
    """The signed ID token; only the first one of a sign-in carries its nonce."""
    claims: dict[str, object] = {
        "iss": world.url,
        "sub": str(user.id),
        "aud": given.wish.application.uid,
        "exp": int((now + ID_TOKEN_LASTS).timestamp()),
        "iat": int(now.timestamp()),
        "auth_time": int(given.signed_in_at.timestamp()),
        **_known(user, given.wish),
        "groups_direct": [g.full_path for g in _groups(world) if user.id in g.members],
    }
    if nonce and given.wish.nonce:
        claims["nonce"] = given.wish.nonce
    return world.oauth.key.sign(claims)


def userinfo(world: World, user: User, wish: Wish) -> dict[str, object]:
    claims: dict[str, object] = {
        "sub": str(user.id),
        "name": user.name,
        "nickname": user.username,
        "preferred_username": user.username,
        **_known(user, wish),
        "profile": f"{world.url}/{user.username}",
        "picture": None,
        "groups": [g.full_path for g in _groups(world) if user.id in world.state.group_members(g)],
    }
    for role, level in ROLES.items():
        held = [g.full_path for g in _groups(world) if world.group_role(user, g) == level]
        if held:
            claims[f"https://gitlab.org/claims/groups/{role}"] = held
    return claims


def _known(user: User, wish: Wish) -> dict[str, object]:
    """What stands in both. Without the scope `email` only a public address is told: here none."""
    legacy = hashlib.sha256(f"{user.id}-sandbox".encode()).hexdigest()
    if "email" not in wish.scopes:
        return {"sub_legacy": legacy}
    return {"sub_legacy": legacy, "email": user.email, "email_verified": user.email_verified}


def _groups(world: World) -> Iterator[Group]:
    return (group for group in world.state.groups.values() if group.kind == "group")
