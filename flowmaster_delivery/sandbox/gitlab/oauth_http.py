"""OpenID Connect's endpoints as GitLab has them: which there are, and who answers."""

from __future__ import annotations

from datetime import datetime

from flowmaster_delivery.sandbox.gitlab import oauth_sign_in, oauth_tokens
from flowmaster_delivery.sandbox.gitlab.answers import Answer, no_route
from flowmaster_delivery.sandbox.gitlab.id_tokens import ALGORITHM
from flowmaster_delivery.sandbox.gitlab.oauth import SCOPES, OAuthError
from flowmaster_delivery.sandbox.gitlab.oauth_asking import (
    AUTHORIZE,
    DISCOVERY,
    KEYS,
    NO_STORE,
    TOKEN,
    USERINFO,
    Ask,
)
from flowmaster_delivery.sandbox.gitlab.world import World


def answer(world: World, ask: Ask, now: datetime) -> Answer:
    """The answer to a request for one of PATHS. Raise ApiError for a method that none has."""
    try:
        match ask.method, ask.path:
            case "GET", path if path == DISCOVERY:
                return Answer(discovery(world.url))
            case "GET", path if path == KEYS:
                return Answer({"keys": [world.oauth.key.public]})
            case "GET" | "POST", path if path == AUTHORIZE:
                return oauth_sign_in.authorize(world, ask, now)
            case "POST", path if path == TOKEN:
                return Answer(oauth_tokens.tokens(world, ask, now), headers=NO_STORE)
            case "GET" | "POST", path if path == USERINFO:
                return Answer(oauth_tokens.userinfo(world, ask, now), headers=NO_STORE)
            case _:
                raise no_route()
    except OAuthError as error:
        body = {"error": error.error, "error_description": error.description}
        return Answer(body, error.status, NO_STORE)


def discovery(url: str) -> dict[str, object]:
    return {
        "issuer": url,
        "authorization_endpoint": url + AUTHORIZE,
        "token_endpoint": url + TOKEN,
        "userinfo_endpoint": url + USERINFO,
        "jwks_uri": url + KEYS,
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claim_types_supported": ["normal"],
        "code_challenge_methods_supported": ["S256"],
    }
