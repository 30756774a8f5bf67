"""Tokens for applications, and what they tell about who signed in."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from urllib.parse import unquote_plus

from flowmaster_delivery.sandbox.gitlab import oauth_claims
from flowmaster_delivery.sandbox.gitlab.oauth import (
    TOKEN_LASTS,
    Given,
    OAuthError,
    Tokens,
    invalid_grant,
)
from flowmaster_delivery.sandbox.gitlab.oauth_asking import Ask
from flowmaster_delivery.sandbox.gitlab.state import User
from flowmaster_delivery.sandbox.gitlab.world import World


def tokens(world: World, ask: Ask, now: datetime) -> dict[str, object]:
    application = world.oauth.authenticate(*_credentials(ask))
    match ask.value("grant_type"):
        case "authorization_code":
            code, verifier = ask.value("code"), ask.value("code_verifier")
            made = world.oauth.redeem(application, code, ask.value("redirect_uri"), verifier, now)
            return _told(world, made, now, first=True)
        case "refresh_token":
            made = world.oauth.refreshed(application, ask.value("refresh_token"), now)
            return _told(world, made, now, first=False)
        case _:
            raise OAuthError("unsupported_grant_type", "The grant type is not supported.")


def _told(world: World, tokens: Tokens, now: datetime, *, first: bool) -> dict[str, object]:
    user = _active(world, tokens.given)
    if user is None:
        raise invalid_grant()
    scopes = tokens.given.wish.scopes
    body: dict[str, object] = {
        "access_token": tokens.access,
        "token_type": "Bearer",
        "expires_in": int(TOKEN_LASTS.total_seconds()),
        "refresh_token": tokens.refresh,
        "scope": " ".join(scopes),
        "created_at": int(now.timestamp()),
    }
    if "openid" in scopes:
        body["id_token"] = oauth_claims.id_token(world, user, tokens.given, now, nonce=first)
    return body


def _credentials(ask: Ask) -> tuple[str, str]:
    """Id and secret of the client: by HTTP Basic (RFC 6749 §2.3.1), or in the form."""
    scheme, _, value = ask.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ask.value("client_id"), ask.value("client_secret")
    try:
        uid, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(uid), unquote_plus(secret)


def userinfo(world: World, ask: Ask, now: datetime) -> dict[str, object]:
    scheme, _, text = ask.headers.get("authorization", "").partition(" ")
    given = world.oauth.holder(text.strip(), now) if scheme.lower() == "bearer" else None
    user = _active(world, given) if given else None
    if given is None or user is None:
        raise OAuthError("invalid_token", "The access token is invalid.", 401)
    if "openid" not in given.wish.scopes:
        raise OAuthError("insufficient_scope", "The access token has not the scope openid.", 403)
    return oauth_claims.userinfo(world, user, given.wish)


def _active(world: World, given: Given) -> User | None:
    user = world.user(given.user_id)
    return user if user is not None and user.state == "active" else None
