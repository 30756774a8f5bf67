"""Manifests, tags and referrers over HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flowmaster_delivery.sandbox.bodies import read_body
from flowmaster_delivery.sandbox.registry.errors import RegistryError
from flowmaster_delivery.sandbox.registry.store import (
    DIGEST,
    OCI_INDEX,
    OCI_MANIFEST,
    TAG,
    Manifest,
    Store,
)

MANIFEST_LIMIT = 4 * 1024 * 1024
PAGE_LIMIT = 1000
"""Most tags on one page, as GitLab's registry has it."""


@dataclass(frozen=True, slots=True)
class ManifestDoor:
    """What stands behind `/manifests/`, `/tags/` and `/referrers/`."""

    store: Store

    async def manifest(self, request: Request, name: str, reference: str) -> Response:
        if request.method == "PUT":
            return await self._put(request, name, reference)
        if request.method == "DELETE":
            self.store.delete_manifest(name, reference)
            return Response(status_code=202)
        if request.method not in ("GET", "HEAD"):
            raise RegistryError("UNSUPPORTED", "the operation is unsupported")
        manifest = self.store.manifest(name, reference)
        _check_accept(request, manifest)
        return _answer(request, manifest)

    async def _put(self, request: Request, name: str, reference: str) -> Response:
        if not DIGEST.fullmatch(reference) and not TAG.fullmatch(reference):
            raise RegistryError("TAG_INVALID", "manifest tag did not match URI", reference[:200])
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        content = await read_body(request, MANIFEST_LIMIT)
        manifest = self.store.put_manifest(name, reference, media_type, content)
        headers = {
            "Docker-Content-Digest": manifest.digest,
            "Location": f"/v2/{name}/manifests/{manifest.digest}",
        }
        if manifest.subject:
            headers["OCI-Subject"] = manifest.subject
        return Response(status_code=201, headers=headers)

    async def tags(self, request: Request, name: str, _: str) -> Response:
        last = request.query_params.get("last", "")
        tags = [t for t in sorted(self.store.repository(name).tags) if t > last]
        size = _page_size(request)
        headers = {}
        if size and len(tags) > size:
            query = urlencode({"last": tags[size - 1], "n": size})
            headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
        return JSONResponse({"name": name, "tags": tags[:size]}, headers=headers)

    async def referrers(self, request: Request, name: str, digest: str) -> Response:
        if not DIGEST.fullmatch(digest):
            raise RegistryError("DIGEST_INVALID", "invalid digest", digest[:200])
        wanted = request.query_params.get("artifactType")
        found = [m.descriptor() for m in self.store.referrers(name, digest)]
        if wanted:
            found = [d for d in found if d.get("artifactType") == wanted]
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        headers = {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        return Response(json.dumps(body), media_type=OCI_INDEX, headers=headers)


def _page_size(request: Request) -> int:
    text = request.query_params.get("n", str(PAGE_LIMIT))
    if not text.isascii() or not text.isdigit():
        raise RegistryError(
            "PAGINATION_NUMBER_INVALID", "invalid number of results requested", {"n": text[:50]}
        )
    return min(int(text[:9]), PAGE_LIMIT)


def _check_accept(request: Request, manifest: Manifest) -> None:
    """As the distribution registry: an OCI manifest only to who asks for one, `*/*` does not."""
    accepted = {
        part.partition(";")[0].strip()
        for header in request.headers.getlist("accept")
        for part in header.split(",")
    }
    kind = {OCI_MANIFEST: "manifest", OCI_INDEX: "index"}.get(manifest.media_type)
    if kind and manifest.media_type not in accepted:
        message = f"OCI {kind} found, but accept header does not support OCI {kind}s"
        raise RegistryError("MANIFEST_UNKNOWN", message, {"Revision": manifest.digest})


def _answer(request: Request, manifest: Manifest) -> Response:
    headers = {
        "Docker-Content-Digest": manifest.digest,
        "ETag": f'"{manifest.digest}"',
        "Content-Type": manifest.media_type,
    }
    if request.headers.get("if-none-match", "").strip('"') == manifest.digest:
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(manifest.content))
        return Response(headers=headers)
    return Response(manifest.content, headers=headers)
