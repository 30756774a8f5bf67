"""The registry's HTTP face: which request does what, and who may make it."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowmaster_delivery.sandbox.registry import images
from flowmaster_delivery.sandbox.registry.auth import (
    LIFETIME,
    Accounts,
    Scope,
    Tokens,
    basic_credentials,
    bearer,
    challenge,
)
from flowmaster_delivery.sandbox.registry.blobs import BlobDoor
from flowmaster_delivery.sandbox.registry.errors import RegistryError
from flowmaster_delivery.sandbox.registry.manifests import ManifestDoor
from flowmaster_delivery.sandbox.registry.store import NAME, NAME_LIMIT, Store

ACTION = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}
HEADERS = {
    "Docker-Distribution-Api-Version": "registry/2.0",
    "Server": "flowmaster-sandbox-registry",
}
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]

Door = Callable[[Request, str, str], Awaitable[Response]]
"""Takes the request, the repository's name, and what stands behind the door's own word."""


class RegistrySandbox:
    """An OCI registry in memory. `host` is `address:port` as it stands in image references.

    Accounts are asked on each login; None leaves the registry open to everybody. `program` is what
    the images that it makes contain and start.
    """

    def __init__(
        self, *, host: str, accounts: Accounts | None, program: bytes | None = None
    ) -> None:
        self.host = host
        self._program = program
        self.store = Store()
        self._accounts = accounts
        self._tokens = Tokens()
        manifests, blobs = ManifestDoor(self.store), BlobDoor(self.store)
        self._doors: tuple[tuple[re.Pattern[str], Door], ...] = (
            (re.compile(r"(.+)/manifests/([^/]+)"), manifests.manifest),
            (re.compile(r"(.+)/tags/(list)"), manifests.tags),
            (re.compile(r"(.+)/referrers/([^/]+)"), manifests.referrers),
            (re.compile(r"(.+)/blobs/uploads/([^/]*)"), blobs.upload),
            (re.compile(r"(.+)/blobs/([^/]+)"), blobs.blob),
        )
        self.app = Starlette(
            routes=[
                Route("/jwt/auth", self._login, methods=["GET"]),
                Route("/v2/{rest:path}", self._answer, methods=METHODS),
                Route("/v2", self._answer, methods=METHODS),
            ]
        )

    def resolve(self, reference: str) -> str | None:
        """Digest that an image reference stands for; None where this registry does not have it."""
        wanted = images.Reference.parse(reference)
        if wanted.host != self.host:
            return None
        try:
            return self.store.manifest(wanted.path, wanted.digest or wanted.tag or "").digest
        except RegistryError:
            return None

    def push(self, repository: str, *, tags: Sequence[str], labels: Mapping[str, str]) -> str:
        """Make a small real image, tag it, and return its digest."""
        path = repository.removeprefix(f"{self.host}/")
        now = datetime.fromtimestamp(time.time(), UTC)
        return images.build(
            self.store, path, tags=tags, labels=labels, created=now, program=self._program
        )

    def tag(self, repository: str, digest: str, tag: str) -> None:
        """Let a tag stand for a digest that is there; RegistryError where it is not."""
        manifest = self.store.manifest(repository, digest)
        self.store.put_manifest(repository, tag, manifest.media_type, manifest.content)

    async def _login(self, request: Request) -> Response:
        header = request.headers.get("authorization")
        credentials = basic_credentials(header)
        if header is not None and not self._is_account(credentials):
            message = "HTTP Basic: Access denied. Use a username and a personal access token."
            return RegistryError("UNAUTHORIZED", message).response()
        asked = [Scope.parse(s) for v in request.query_params.getlist("scope") for s in v.split()]
        granted = [s for s in asked if s is not None and credentials is not None]
        token = self._tokens.issue(credentials[0] if credentials else "", granted)
        return JSONResponse({"token": token, "expires_in": LIFETIME})

    def _is_account(self, credentials: tuple[str, str] | None) -> bool:
        return credentials is not None and (self._accounts is None or self._accounts(*credentials))

    async def _answer(self, request: Request) -> Response:
        try:
            response = await self._dispatch(request, request.path_params.get("rest", ""))
        except RegistryError as error:
            response = error.response()
        except HTTPException as error:
            response = RegistryError("SIZE_INVALID", error.detail).response()
        response.headers.update(HEADERS)
        return response

    async def _dispatch(self, request: Request, rest: str) -> Response:
        if not rest:
            self._admit(request, None)
            return JSONResponse({})
        for pattern, door in self._doors:
            if match := pattern.fullmatch(rest):
                name, argument = match.groups()
                _check_name(name)
                self._admit(request, name)
                return await door(request, name, argument)
        return Response("404 page not found\n", 404, media_type="text/plain")

    def _admit(self, request: Request, name: str | None) -> None:
        if self._accounts is None:
            return
        action = ACTION.get(request.method, "push")
        token = bearer(request.headers.get("authorization"))
        scopes = self._tokens.scopes(token) if token else None
        if scopes is not None and (name is None or any(s.allows(name, action) for s in scopes)):
            return
        realm = f"{request.url.scheme}://{request.headers.get('host', self.host)}/jwt/auth"
        asked = challenge(realm, name, action, known=scopes is not None)
        headers = {"WWW-Authenticate": asked}
        raise RegistryError("UNAUTHORIZED", "authentication required", None, headers)


def _check_name(name: str) -> None:
    if len(name) > NAME_LIMIT or not NAME.fullmatch(name):
        raise RegistryError("NAME_INVALID", "invalid repository name", {"name": name[:300]})
