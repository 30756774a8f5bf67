"""What a token lets its user do: the scopes of GitLab's personal access tokens."""

from __future__ import annotations

from flowmaster_delivery.sandbox.gitlab.answers import ApiError
from flowmaster_delivery.sandbox.gitlab.state import Token

READING = ("GET", "HEAD")
OF_USERS = ("/user", "/users", "/personal_access_tokens/self")


def check_api(token: Token, method: str, path: str) -> None:
    """Raise 403 where the token's scopes do not reach so far.

    Every token may ask about itself, and revoke itself.
    """
    if "api" in token.scopes or path == "/personal_access_tokens/self":
        return
    if method in READING and "read_api" in token.scopes:
        return
    about_users = path in OF_USERS or path.startswith("/users/")
    if method in READING and about_users and "read_user" in token.scopes:
        return
    raise ApiError(
        403,
        {
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the "
            "access token.",
            "scope": "api read_api" if method in READING else "api",
        },
    )


def reaches_git(token: Token, *, writes: bool) -> bool:
    """Whether the token is good for fetching, or for pushing too."""
    wanted = {"api", "write_repository"} | (set() if writes else {"read_repository", "read_api"})
    return bool(wanted & set(token.scopes))
