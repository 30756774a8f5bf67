"""OAuth 2.0 as GitLab gives it to web applications: authorization codes with PKCE, refresh tokens.

Codes and tokens are kept by their hash and are good once: GitLab rotates refresh tokens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.gitlab.id_tokens import SigningKey

SCOPES = ("openid", "profile", "email")
CODE_LASTS = timedelta(minutes=10)
TOKEN_LASTS = timedelta(hours=2)


class OAuthError(Exception):
    """An answer of RFC 6749 §5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status = error, description, status


@dataclass(frozen=True, slots=True)
class Application:
    """Who may let people sign in with this GitLab, and where they are sent back to."""

    number: int
    name: str
    uid: str
    secret_hash: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    confidential: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to authorize, checked as far as the application is concerned."""

    application: Application
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str = ""
    nonce: str = ""
    challenge: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What a code, an access token or a refresh token stands for."""

    user_id: int
    wish: Wish
    signed_in_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Tokens:
    access: str
    refresh: str
    given: Given


@dataclass(slots=True)
class OAuthProvider:
    """Applications, and what was given out to them. `now` is an argument."""

    key: SigningKey = field(default_factory=SigningKey)
    applications: dict[str, Application] = field(default_factory=dict)
    _codes: dict[str, Given] = field(default_factory=dict)
    _access: dict[str, Given] = field(default_factory=dict)
    _refresh: dict[str, Given] = field(default_factory=dict)

    def register(
        self, number: int, name: str, redirect_uris: tuple[str, ...], scopes: tuple[str, ...]
    ) -> tuple[Application, str]:
        """A new application and its secret, which is not kept."""
        secret = f"gloas-{secrets.token_hex(32)}"
        made = Application(
            number, name, secrets.token_hex(32), _hash(secret), redirect_uris, scopes
        )
        self.applications[made.uid] = made
        return made, secret

    def forget(self, number: int) -> bool:
        """Whether there was one of that number; what it was given is worth nothing any more."""
        found = next((a for a in self.applications.values() if a.number == number), None)
        if found is None:
            return False
        del self.applications[found.uid]
        for given in (self._codes, self._access, self._refresh):
            for key in [k for k, one in given.items() if one.wish.application == found]:
                del given[key]
        return True

    def authenticate(self, uid: str, secret: str) -> Application:
        found = self.applications.get(uid)
        if found is None or not hmac.compare_digest(_hash(secret), found.secret_hash):
            raise OAuthError(
                "invalid_client",
                "Client authentication failed due to unknown client, no client authentication "
                "included, or unsupported authentication method.",
                401,
            )
        return found

    def code_for(self, user_id: int, wish: Wish, now: datetime) -> str:
        return _keep(self._codes, Given(user_id, wish, now, now + CODE_LASTS))

    def redeem(
        self, application: Application, code: str, redirect_uri: str, verifier: str, now: datetime
    ) -> Tokens:
        """Tokens for a code: once, to whom it was given, for the same address and the verifier."""
        given = _take(self._codes, code, application, now)
        if given.wish.redirect_uri != redirect_uri or not _proves(given.wish.challenge, verifier):
            raise invalid_grant()
        return self._tokens(given, now)

    def refreshed(self, application: Application, text: str, now: datetime) -> Tokens:
        """New tokens for a refresh token, which is used up."""
        return self._tokens(_take(self._refresh, text, application, now), now)

    def holder(self, access_token: str, now: datetime) -> Given | None:
        """Whom an access token stands for, as long as it is good."""
        given = self._access.get(_hash(access_token))
        return given if given is not None and now < given.expires_at else None

    def _tokens(self, given: Given, now: datetime) -> Tokens:
        known = (given.user_id, given.wish, given.signed_in_at)
        lasting = Given(*known, datetime.max.replace(tzinfo=now.tzinfo))
        current = Given(*known, now + TOKEN_LASTS)
        return Tokens(_keep(self._access, current), _keep(self._refresh, lasting), current)


def invalid_grant() -> OAuthError:
    return OAuthError(
        "invalid_grant",
        "The provided authorization grant is invalid, expired, revoked, does not match the "
        "redirection URI used in the authorization request, or was issued to another client.",
    )


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _proves(challenge: str, verifier: str) -> bool:
    """Whether the verifier belongs to the challenge; without a challenge none is asked for."""
    if not challenge:
        return True
    return hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode())


def _keep(into: dict[str, Given], given: Given) -> str:
    text = secrets.token_hex(32)
    into[_hash(text)] = given
    return text


def _take(from_: dict[str, Given], text: str, application: Application, now: datetime) -> Given:
    given = from_.pop(_hash(text), None)
    if given is None or given.wish.application != application or now >= given.expires_at:
        raise invalid_grant()
    return given


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
