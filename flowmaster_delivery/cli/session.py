"""One invocation's way to the platform's server: where it is, who asks, how its errors read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowmaster_delivery.model.errors import (
    DeliveryError,
    Malformed,
    Permanent,
    Transient,
    UnknownName,
    Unreachable,
)
from flowmaster_delivery.settings import DEFAULT_SERVER_URL, LOOPBACK, Settings, caller_token

if TYPE_CHECKING:
    import httpx

ADDRESSES = "up.json"
"""What `flowmaster up` leaves in its home folder: where its parts listen."""
Params = Mapping[str, str | Sequence[str]]


class ServerSaid(Permanent):
    """The server's own words, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def exit_status(error: DeliveryError) -> int:
    """1 refused or failed, 2 wrong usage or unknown name, 3 out of reach."""
    match error:
        case ServerSaid(status=400 | 404):
            return 2
        case ServerSaid(status=status) if status >= 500:
            return 3
        case Transient():
            return 3
        case UnknownName() | Malformed():
            return 2
        case _:
            return 1


def _connect(url: str, headers: Mapping[str, str]) -> httpx.Client:
    import httpx

    # Loading all certificates takes longer than asking; plain HTTP needs none. This machine is
    # asked directly, whatever proxy is set.
    return httpx.Client(
        base_url=url,
        headers=dict(headers),
        timeout=httpx.Timeout(60, connect=5),
        verify=url.startswith("https:"),
        trust_env=httpx.URL(url).host not in LOOPBACK.split(","),
    )


@dataclass(frozen=True, slots=True)
class Session:
    """How this invocation reaches the server. `connect` makes a client for an address."""

    settings: Settings
    connect: Callable[[str, Mapping[str, str]], httpx.Client] = _connect
    pause: Callable[[float], None] = time.sleep
    token: str | None = field(default=None, repr=False)
    """Who asks, where it is not the person of FLOWMASTER_TOKEN."""

    def server(self, token_file: Path | None = None) -> Server:
        """The server, asked in the name of whoever the token belongs to."""
        url = self._url()
        token = _read_token(token_file) if token_file else self.token or caller_token()
        headers = {"PRIVATE-TOKEN": token} if token else {}
        return Server(url, self.connect(url, headers))

    def catalog_files(self) -> tuple[Path | None, Path | None]:
        """Catalog and overlay of this installation: as set, else what `flowmaster up` runs on."""
        if self.settings.catalog or self.settings.overlay:
            return self.settings.catalog, self.settings.overlay
        left = self._left()
        catalog, overlay = left.get("catalog"), left.get("overlay")
        return Path(catalog) if catalog else None, Path(overlay) if overlay else None

    def _url(self) -> str:
        if self.settings.server_url != DEFAULT_SERVER_URL:
            return self.settings.server_url
        return self._left().get("server_url") or self.settings.server_url

    def _left(self) -> Mapping[str, str | None]:
        """What `flowmaster up` left in its home; nothing where it is not up."""
        try:
            found = json.loads((self.settings.home / ADDRESSES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


class Server:
    """The API, as the commands see it: parsed answers, errors of ours."""

    def __init__(self, url: str, client: httpx.Client) -> None:
        self.url = url
        self._client = client

    def get(self, path: str, params: Params | None = None) -> Any:
        return self._ask("GET", path, params=dict(params or {}))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        return self._ask("POST", path, json=dict(body))

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        import httpx

        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the server at {self.url} does not answer ({type(error).__name__}); "
                "start it with `flowmaster up`, or set FLOWMASTER_URL"
            ) from error
        return _understood(response, self.url)


def _understood(response: httpx.Response, url: str) -> Any:
    try:
        body = response.json()
    except ValueError as error:
        raise Unreachable(
            f"what answers at {url} is not the platform's server; set FLOWMASTER_URL"
        ) from error
    if response.is_success:
        return body
    said = body.get("error") if isinstance(body, dict) else None
    message = said.get("message") if isinstance(said, dict) else response.text[:200]
    raise ServerSaid(response.status_code, str(message))


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise Malformed(f"the token file {path} cannot be read; give a text file") from error
