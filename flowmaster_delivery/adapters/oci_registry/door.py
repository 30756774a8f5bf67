"""How one gets in: the registry's challenge, and the token that answers it."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from flowmaster_delivery.adapters.oci_registry.documents import TokenAnswer, parsed
from flowmaster_delivery.adapters.wire import MEGABYTE, Wire, fault, retry_after
from flowmaster_delivery.model.errors import Denied, Malformed
from flowmaster_delivery.redaction import learn

PARAMETER = re.compile(r'(\w+)="([^"]*)"')
EARLY = 10.0
"""Seconds before its end at which a token is no longer used."""

RENEW = "check the registry's user and password (FLOWMASTER_REGISTRY_USER, …_PASSWORD_FILE)"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW-Authenticate header: scheme in lower case, realm, service."""

    scheme: str
    realm: str = ""
    service: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge:
        scheme, _, rest = header.partition(" ")
        words = dict(PARAMETER.findall(rest))
        return cls(scheme.lower(), words.get("realm", ""), words.get("service", ""))


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    until: float


class Door:
    """Authorization headers for a registry, by scope; tokens are kept until they run out.

    Credentials go to the registry itself and to the origins that are trusted, to nobody else.
    """

    def __init__(
        self,
        wire: Wire,
        url: str,
        *,
        user: str | None,
        password: Callable[[], str | None],
        trusted: Iterable[str],
    ) -> None:
        self._wire, self._user, self._password = wire, user, password
        self._trusted = {origin(address) for address in (url, *trusted)}
        self._tokens: dict[str, _Token] = {}
        self._guard = threading.Lock()

    def known(self, scope: str) -> dict[str, str]:
        """The headers that opened this scope, while they still do; else none."""
        with self._guard:
            token = self._tokens.get(scope)
        fresh = token and token.until > time.monotonic()
        return {"Authorization": token.header} if token and fresh else {}

    def answer(self, header: str, scope: str) -> dict[str, str]:
        """The headers that a challenge asks for; Denied where we have no credentials for it."""
        challenge = Challenge.parse(header)
        if challenge.scheme == "basic":
            basic = self._basic()
            if basic is None:
                raise Denied(f"the registry asks who we are; {RENEW}")
            token = _Token(basic, time.monotonic() + 300)
        elif challenge.scheme == "bearer":
            token = self._bearer(challenge, scope)
        else:
            raise Malformed(f"the registry asks for {challenge.scheme or 'nothing'} as proof")
        with self._guard:
            self._tokens[scope] = token
        return {"Authorization": token.header}

    def _basic(self) -> str | None:
        password = self._password() if self._user else None
        if not self._user or password is None:
            return None
        credentials = base64.b64encode(f"{self._user}:{password}".encode()).decode()
        learn("registry_credentials", credentials)
        return f"Basic {credentials}"

    def _bearer(self, challenge: Challenge, scope: str) -> _Token:
        if origin(challenge.realm) not in self._trusted:
            raise Denied(
                f"the registry sends us to {_shown(challenge.realm)} for a token, which is neither "
                "the registry's own address nor GitLab's; our password stays here"
            )
        query = urlencode({"service": challenge.service, "scope": scope})
        joint = "&" if urlsplit(challenge.realm).query else "?"
        basic = self._basic()
        headers = {"Authorization": basic} if basic else {}
        url = f"{challenge.realm}{joint}{query}"
        got = self._wire.send("GET", url, headers=headers, limit=MEGABYTE)
        if got.status != 200:
            wait = retry_after(got.headers)
            raise fault("the registry's token service", got.status, retry_after=wait, to_do=RENEW)
        answer = parsed(TokenAnswer, got.body, "the registry's token")
        value = answer.token or answer.access_token
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            raise Malformed("the registry's token service gave no token")
        learn(f"registry token for {scope}", value)
        return _Token(f"Bearer {value}", time.monotonic() + answer.expires_in - EARLY)


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
