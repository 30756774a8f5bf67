"""A request to the endpoints of OpenID Connect, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

DISCOVERY = "/.well-known/openid-configuration"
AUTHORIZE, TOKEN = "/oauth/authorize", "/oauth/token"
USERINFO, KEYS = "/oauth/userinfo", "/oauth/discovery/keys"
PATHS = (DISCOVERY, AUTHORIZE, TOKEN, USERINFO, KEYS)
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to these endpoints. `values` are those of the query, and of a form over them."""

    method: str
    path: str
    values: Mapping[str, str]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Ask:
        form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        text = body.decode(errors="replace") if form else ""
        return cls(method, path, dict(parse_qsl(query)) | dict(parse_qsl(text)), headers)

    def value(self, name: str) -> str:
        return self.values.get(name, "")
