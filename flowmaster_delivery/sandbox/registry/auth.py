"""GitLab's token flow in front of a registry: credentials at `/jwt/auth`, a bearer token after."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Accounts = Callable[[str, str], bool]
"""Whether a username and its token belong together."""

SERVICE = "container_registry"
LIFETIME = 300
"""Seconds for which a token opens the registry, as GitLab's default."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`repository:<path>:<action>,<action>`."""

    path: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Scope | None:
        kind, _, rest = text.partition(":")
        path, _, actions = rest.rpartition(":")
        if kind != "repository" or not path:
            return None
        return cls(path, frozenset(actions.split(",")) & {"pull", "push", "delete", "*"})

    def allows(self, path: str, action: str) -> bool:
        return self.path == path and (action in self.actions or "*" in self.actions)


@dataclass(slots=True)
class Tokens:
    """Signs and reads the tokens of one registry; the key lives as long as the process."""

    clock: Callable[[], float] = time.time
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def issue(self, user: str, scopes: Iterable[Scope]) -> str:
        access = [
            {"type": "repository", "name": s.path, "actions": sorted(s.actions)} for s in scopes
        ]
        claims = {"sub": user, "aud": SERVICE, "exp": self.clock() + LIFETIME, "access": access}
        body = ".".join((_encode({"alg": "HS256", "typ": "JWT"}), _encode(claims)))
        return f"{body}.{self._sign(body)}"

    def scopes(self, token: str) -> tuple[Scope, ...] | None:
        """What a token opens; None where it is not ours or too old."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        claims = json.loads(_decoded(body.partition(".")[2]))
        if claims["exp"] < self.clock():
            return None
        return tuple(Scope(a["name"], frozenset(a["actions"])) for a in claims["access"])

    def _sign(self, body: str) -> str:
        return _base64(hmac.new(self._key, body.encode(), hashlib.sha256).digest())


def basic_credentials(header: str | None) -> tuple[str, str] | None:
    """Username and password of an Authorization header; None where it is not of that kind."""
    kind, _, value = (header or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, found, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if found else None


def bearer(header: str | None) -> str | None:
    kind, _, value = (header or "").partition(" ")
    return value if kind.lower() == "bearer" else None


def challenge(realm: str, path: str | None, action: str, *, known: bool) -> str:
    """The WWW-Authenticate header that tells a client where to get which token.

    `known`: a valid token was brought, but does not go so far.
    """
    words = [f'realm="{realm}"', f'service="{SERVICE}"']
    if path is not None:
        actions = "pull" if action == "pull" else "pull," + action
        words.append(f'scope="repository:{path}:{actions}"')
    if known:
        words.append('error="insufficient_scope"')
    return "Bearer " + ",".join(words)


def _encode(value: object) -> str:
    return _base64(json.dumps(value).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
