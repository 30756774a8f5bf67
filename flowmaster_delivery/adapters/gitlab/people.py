"""Whom GitLab knows: members of groups, owners of tokens and of e-mail addresses."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from flowmaster_delivery.adapters.gitlab.client import Client
from flowmaster_delivery.adapters.gitlab.shapes import EmailShape, UserShape
from flowmaster_delivery.model.errors import Denied, NotFound
from flowmaster_delivery.model.source import Person

BOT = re.compile(r"(project|group)_\d+_bot(_[0-9a-f]+)?")
"""Usernames that GitLab reserves for access tokens of projects and groups."""

CANDIDATES = 20


def is_bot(user: UserShape) -> bool:
    return user.bot or bool(BOT.fullmatch(user.username))


def members(client: Client, group: str) -> frozenset[str]:
    """Usernames of active people. Direct members only, as GitLab itself counts approvers."""
    found = client.all(UserShape, f"/groups/{quote(group, safe='')}/members")
    return frozenset(user.username for user in found if _is_active(user) and not is_bot(user))


def person_of(client: Client, token: str) -> Person:
    """Raise Denied where the token is nobody's, a bot's, or a blocked person's."""
    try:
        user = client.person(UserShape, token)
    except Denied as error:
        raise Denied(
            "GitLab knows nobody by this token: it is wrong, expired, revoked, or lacks the scope "
            "read_user; make a new personal access token"
        ) from error
    if is_bot(user):
        raise Denied(f"the token belongs to the bot {user.username}; a person's own is needed")
    if not _is_active(user):
        raise Denied(f"GitLab says that {user.username} is {user.state}")
    return user.person()


def by_email(client: Client, email: str) -> Person | None:
    """The active person to whom GitLab says the address belongs; None for nobody or for several.

    GitLab's search also finds names that merely look like the address, so each find is proven.
    Addresses that are not public are told to administrators' tokens only.
    """
    wanted = email.strip().lower()
    if wanted.count("@") != 1:
        return None
    private = _by_private_address(client, wanted)
    if private:
        return private
    found = client.first_page(UserShape, "/users", {"search": wanted}, CANDIDATES)
    owners = [user for user in found if _is_active(user) and _owns(client, user, wanted)]
    return owners[0].person() if len(owners) == 1 else None


def _by_private_address(client: Client, email: str) -> Person | None:
    """GitLab's own addresses for commits: `<id>-<username>@users.noreply.<host>`."""
    host = re.escape(urlsplit(client.url).hostname or "")
    match = re.fullmatch(rf"(\d+)-[^@]+@users\.noreply\.{host}", email)
    if not match:
        return None
    try:
        user = client.one(UserShape, f"/users/{match[1]}")
    except NotFound:
        return None
    return user.person() if _is_active(user) else None


def _owns(client: Client, user: UserShape, email: str) -> bool:
    shown = {address.lower() for address in (user.email, user.public_email) if address}
    if email in shown or (user.commit_email or "").lower() == email:
        return True
    if user.email is None:  # not an administrator's view: the other addresses are hidden too
        return False
    others = client.all(EmailShape, f"/users/{user.id}/emails")
    return any(other.email.lower() == email and other.confirmed_at for other in others)


def _is_active(user: UserShape) -> bool:
    return user.state == "active" and user.membership_state in (None, "active")
