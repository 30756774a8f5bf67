"""Who one is and what one may do: asked by creating an object that is answered, not stored."""

from __future__ import annotations

import hmac
import secrets

from flowmaster_delivery.sandbox.kubernetes.authorization import User, act_in
from flowmaster_delivery.sandbox.kubernetes.kinds import Object


class Tokens:
    """Whose bearer token is whose. Tokens live as long as the sandbox does."""

    def __init__(self) -> None:
        self._users: list[tuple[bytes, User]] = []

    def add(self, user: User) -> str:
        token = secrets.token_urlsafe(32)
        self._users.append((token.encode(), user))
        return token

    def user(self, token: str) -> User | None:
        """The token's owner; compares with every token, in constant time."""
        given, found = token.encode(), None
        for known, user in self._users:
            if hmac.compare_digest(known, given):
                found = user
        return found


def answer(kind: str, review: Object, user: User, tokens: Tokens) -> Object:
    """The review with its status."""
    spec = review.get("spec", {})
    if kind == "TokenReview":
        status = _token_status(str(spec.get("token", "")), tokens)
    elif kind == "SelfSubjectReview":
        status = {"userInfo": user.as_json()}
    elif kind == "SelfSubjectRulesReview":
        paths = {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*"]}
        rules = user.rules_in(str(spec.get("namespace", "")))
        status = {"resourceRules": rules, "nonResourceRules": [paths], "incomplete": False}
    else:
        asked = spec.get("resourceAttributes")
        status = {"allowed": not asked or user.may(*act_in(asked))}
    return {**review, "metadata": {}, "status": status}


def _token_status(token: str, tokens: Tokens) -> Object:
    found = tokens.user(token)
    if found is None:
        return {"user": {}, "error": "the token is nobody's"}
    return {"authenticated": True, "user": found.as_json()}
