"""Who asks: whom GitLab knows by the caller's token, whom the proxy names, or the sandbox's user.

A token is shown to GitLab and kept nowhere. Whatever changes something asks GitLab each time; reads
believe for a minute what it said (`web.known`).
"""

from __future__ import annotations

from starlette.requests import Request

from flowmaster_delivery.flows.entry import may_ask
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import Denied, Permanent, Refused
from flowmaster_delivery.model.source import Person
from flowmaster_delivery.policy.asking import LOCAL, Asker, Via, named_by_proxy
from flowmaster_delivery.web.addresses import address_of
from flowmaster_delivery.web.office import Office


class Unauthenticated(Permanent):
    """Nobody is known to ask (401)."""


class Forbidden(Permanent):
    """Somebody asks who may not (403)."""


class TooManyFailures(Permanent):
    """Nobody could be proven from this address too often (429); `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(
            "too many tries from this address did not prove who asks; "
            f"try again in {max(round(retry_after), 1)} s with a token that GitLab knows"
        )


def person(request: Request, office: Office) -> Person:
    """The GitLab person whose token the request carries; raise Unauthenticated without one."""
    token = token_of(request)
    if token is None:
        raise Unauthenticated(
            "this needs your own GitLab token: set FLOWMASTER_TOKEN to one with the scope "
            "read_user (`flowmaster approve` and `override` also take --token-file)"
        )
    found = _proven(token, request, office)
    _is_known(request, Asker(found.username, Via.GITLAB))
    return found


def asker(request: Request, office: Office, environment: Environment | None = None) -> str:
    """The name of whoever asks; in an environment with operators, only one of them may."""
    who = _without_token(request, office)
    if who is None:
        who = Asker(person(request, office).username, Via.GITLAB)
    _is_known(request, who)
    if environment is not None:
        try:
            may_ask(who, environment, office.ports.forge.members)
        except Refused as error:
            raise Forbidden(str(error)) from error
    return who.name


def reader(request: Request, office: Office) -> str:
    """The name of whoever reads; raise Unauthenticated where nobody is known."""
    token = token_of(request)
    if token is not None:
        remembered = office.known.reader(token, _now(office))
        name = remembered or _proven(token, request, office).username
        who: Asker | None = Asker(name, Via.GITLAB)
    else:
        who = _without_token(request, office)
    if who is None:
        return person(request, office).username
    _is_known(request, who)
    return who.name


def _without_token(request: Request, office: Office) -> Asker | None:
    """Who is known though the request carries no token: by the proxy's word, or in the sandbox."""
    if token_of(request) is not None:
        return None
    header = office.settings.identity_header
    named = request.headers.getlist(header) if header else []
    if named:
        who = named_by_proxy(named)
        if not who.known:
            raise Unauthenticated(
                f"the header {header} does not name one GitLab user; mend the authenticating proxy"
            )
        return who
    return Asker(LOCAL, Via.SANDBOX) if office.settings.sandbox else None


def _is_known(request: Request, who: Asker) -> None:
    """From here on the audit trail has a name for whatever becomes of the request."""
    attempt = getattr(request.state, "attempt", None)
    if attempt:
        attempt.caller = who


def _proven(token: str, request: Request, office: Office) -> Person:
    """Ask GitLab whose token it is, unless too many tries from this address failed.

    A token that was proven within the hour is asked for whatever others do from its address.
    """
    now, address = _now(office), address_of(request, office.settings)
    counted = not office.known.trusts(token, now)
    wait = office.failures.begin(address, now) if counted else None
    if wait is not None:
        raise TooManyFailures(wait)
    try:
        found = office.ports.forge.person_of(token)
    except Denied as error:
        office.known.forget(token)
        raise Unauthenticated(str(error)) from error
    if counted:
        office.failures.succeeded(address)
    office.known.remember(token, found.username, now)
    return found


def _now(office: Office) -> float:
    return office.clock().timestamp()


def token_of(request: Request) -> str | None:
    """The token that the request shows, whoever's it is."""
    private = request.headers.get("private-token")
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return private or (bearer.strip() if scheme.lower() == "bearer" else "") or None
