"""Who asks: whom GitLab knows by the caller's token, whom the proxy names, or the sandbox's user.

A token is shown to GitLab and kept nowhere.
"""

from __future__ import annotations

from starlette.requests import Request

from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import Denied, Permanent
from flowmaster_delivery.model.source import Person
from flowmaster_delivery.web.office import Office

LOCAL = "local"


class Unauthenticated(Permanent):
    """Nobody is known to ask (401)."""


class Forbidden(Permanent):
    """Somebody asks who may not (403)."""


def person(request: Request, office: Office) -> Person:
    """The GitLab person whose token the request carries; raise Unauthenticated without one."""
    token = token_of(request)
    if token is None:
        raise Unauthenticated(
            "this needs your own GitLab token: set FLOWMASTER_TOKEN "
            "(`flowmaster approve` and `override` also take --token-file)"
        )
    try:
        return office.ports.forge.person_of(token)
    except Denied as error:
        raise Unauthenticated(
            "GitLab does not know this token; make a new one with the scope read_user"
        ) from error


def asker(request: Request, office: Office, environment: Environment | None = None) -> str:
    """The name of whoever asks; in an environment with operators, only one of them may."""
    named = office.settings.identity_header
    from_proxy = request.headers.get(named) if named else None
    if token_of(request) is not None:
        name = person(request, office).username
    elif from_proxy:
        name = from_proxy
    elif office.settings.sandbox:
        return LOCAL
    else:
        name = person(request, office).username
    _check_operator(name, office, environment)
    return name


def _check_operator(name: str, office: Office, environment: Environment | None) -> None:
    group = environment.operators if environment else None
    if environment and group and name not in office.ports.forge.members(group):
        raise Forbidden(
            f"{name} is not a member of {group}, which operates {environment.name}; "
            "ask one of that group"
        )


def token_of(request: Request) -> str | None:
    """The token that the request shows, whoever's it is."""
    private = request.headers.get("private-token")
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return private or (bearer.strip() if scheme.lower() == "bearer" else "") or None
