"""Signing in with this GitLab: the page that asks who somebody is, and the way back.

GitLab asks for a password; this page asks nobody to prove anything, as the sandbox's other pages.
Nobody stays signed in: each application asks anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from urllib.parse import urlencode

from flowmaster_delivery.sandbox.gitlab.answers import Answer
from flowmaster_delivery.sandbox.gitlab.oauth import Application, OAuthError, Wish
from flowmaster_delivery.sandbox.gitlab.oauth_asking import AUTHORIZE, NO_STORE, Ask
from flowmaster_delivery.sandbox.gitlab.pages import HTML, STYLE
from flowmaster_delivery.sandbox.gitlab.world import World


def authorize(world: World, ask: Ask, now: datetime) -> Answer:
    """The page, or the way back to the application once somebody has chosen who they are.

    An application or address that is not registered is told on a page: nobody is sent there.
    """
    application = world.oauth.applications.get(ask.value("client_id"))
    if application is None or ask.value("redirect_uri") not in application.redirect_uris:
        words = "The client identifier or the redirect URI is not one that is registered."
        return _page("An error has occurred", f"<p>{words}", 401)
    try:
        wish = _wish(ask, application)
    except OAuthError as error:
        said = {"error": error.error, "error_description": error.description}
        return _back(ask.value("redirect_uri"), ask.value("state"), said)
    if ask.method == "GET":
        return _asked(world, ask, application)
    user = world.state.user_named(ask.value("username"))
    if user is None or user.state != "active":
        return _page("An error has occurred", "<p>Invalid login or password.", 401)
    code = world.oauth.code_for(user.id, wish, now)
    return _back(wish.redirect_uri, wish.state, {"code": code})


def _wish(ask: Ask, application: Application) -> Wish:
    scopes = tuple(ask.value("scope").split())
    if ask.value("response_type") != "code":
        raise OAuthError("unsupported_response_type", "Only the response type code is supported.")
    if not scopes or not set(scopes) <= set(application.scopes):
        raise OAuthError("invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    challenge = ask.value("code_challenge")
    if challenge and ask.value("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "The code challenge method must be S256.")
    return Wish(
        application,
        ask.value("redirect_uri"),
        scopes,
        ask.value("state"),
        ask.value("nonce"),
        challenge,
    )


def _back(redirect_uri: str, state: str, said: Mapping[str, str]) -> Answer:
    more = urlencode({**said, **({"state": state} if state else {})})
    joint = "&" if "?" in redirect_uri else "?"
    return Answer(b"", 302, {"Location": f"{redirect_uri}{joint}{more}", **NO_STORE})


def _asked(world: World, ask: Ask, application: Application) -> Answer:
    """A button for everybody who may sign in; the request goes with it in hidden fields."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in ask.values.items()
        if name != "username"
    )
    buttons = "".join(
        f'<p><button name="username" value="{escape(u.username)}">{escape(u.name)} '
        f"({escape(u.username)})</button>"
        for u in world.state.users.values()
        if u.state == "active"
    )
    form = f'<form method="post" action="{AUTHORIZE}">{hidden}{buttons}</form>'
    words = f"<p>{escape(application.name)} asks who you are. This is a sandbox: choose."
    return _page("Sign in", words + form)


def _page(title: str, content: str, status: int = 200) -> Answer:
    text = (
        f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
        f"<p>GitLab (sandbox)<h1>{title}</h1>{content}"
    )
    return Answer(text.encode(), status, {**HTML, **NO_STORE})
