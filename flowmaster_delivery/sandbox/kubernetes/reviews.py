"""Who one is and what one may do: asked by creating an object that is answered, not stored."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from flowmaster_delivery.sandbox.kubernetes.kinds import Object


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...]

    def as_json(self) -> Object:
        return {"username": self.name, "groups": [*self.groups, "system:authenticated"]}


class Tokens:
    """Whose bearer token is whose. Tokens live as long as the sandbox does."""

    def __init__(self) -> None:
        self._users: list[tuple[bytes, User]] = []

    def add(self, name: str, groups: Sequence[str] = ()) -> str:
        token = secrets.token_urlsafe(32)
        self._users.append((token.encode(), User(name, tuple(groups))))
        return token

    def user(self, token: str) -> User | None:
        """The token's owner; compares with every token, in constant time."""
        given, found = token.encode(), None
        for known, user in self._users:
            if hmac.compare_digest(known, given):
                found = user
        return found


def answer(kind: str, review: Object, user: User, tokens: Tokens) -> Object:
    """The review with its status: everybody who is known may do everything."""
    if kind == "TokenReview":
        status = _token_status(str(review.get("spec", {}).get("token", "")), tokens)
    elif kind == "SelfSubjectReview":
        status = {"userInfo": user.as_json()}
    elif kind == "SelfSubjectRulesReview":
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
        status = {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
    else:
        status = {"allowed": True, "reason": "the sandbox allows everything"}
    return {**review, "metadata": {}, "status": status}


def _token_status(token: str, tokens: Tokens) -> Object:
    found = tokens.user(token)
    if found is None:
        return {"user": {}, "error": "the token is nobody's"}
    return {"authenticated": True, "user": found.as_json()}
