"""Blobs over HTTP: reading, and uploads in one piece, in chunks, or by mounting."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from flowmaster_delivery.sandbox.bodies import read_body
from flowmaster_delivery.sandbox.registry.errors import RegistryError
from flowmaster_delivery.sandbox.registry.store import DIGEST, Store, digest_of

BLOB_LIMIT = 64 * 1024 * 1024
"""Bytes of one blob. The sandbox keeps them in memory; its own images take a few hundred."""

UPLOADS_LIMIT = 100
"""Uploads begun and not ended; the oldest is forgotten."""

RANGE = re.compile(r"(\d{1,12})-(\d{1,12})")


@dataclass(slots=True)
class BlobDoor:
    """What stands behind `/blobs/`."""

    store: Store
    _uploads: dict[tuple[str, str], bytearray] = field(default_factory=dict)

    async def blob(self, request: Request, name: str, digest: str) -> Response:
        if not DIGEST.fullmatch(digest):
            raise RegistryError("DIGEST_INVALID", "invalid digest", digest[:200])
        if request.method == "DELETE":
            self.store.delete_blob(name, digest)
            return Response(status_code=202)
        if request.method not in ("GET", "HEAD"):
            raise RegistryError("UNSUPPORTED", "the operation is unsupported")
        content = self.store.blob(name, digest)
        headers = {
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(content)),
        }
        return Response(b"" if request.method == "HEAD" else content, headers=headers)

    async def upload(self, request: Request, name: str, upload: str) -> Response:
        if not upload:
            return await self._begin(request, name)
        if (name, upload) not in self._uploads:
            raise RegistryError(
                "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", upload[:100]
            )
        if request.method == "PATCH":
            await self._append(request, name, upload)
            return self._progress(name, upload, 202)
        if request.method == "PUT":
            await self._append(request, name, upload)
            return self._finish(request, name, upload)
        if request.method == "DELETE":
            del self._uploads[name, upload]
            return Response(status_code=204)
        return self._progress(name, upload, 204)

    async def _begin(self, request: Request, name: str) -> Response:
        if request.method != "POST":
            raise RegistryError("UNSUPPORTED", "the operation is unsupported")
        query = request.query_params
        if self.store.mount(name, query.get("mount", ""), query.get("from", "")):
            return _created(name, query["mount"])
        upload = str(uuid.uuid4())
        self._uploads[name, upload] = bytearray()
        if len(self._uploads) > UPLOADS_LIMIT:
            del self._uploads[next(iter(self._uploads))]
        if "digest" in query:
            await self._append(request, name, upload)
            return self._finish(request, name, upload)
        return self._progress(name, upload, 202)

    async def _append(self, request: Request, name: str, upload: str) -> None:
        held = self._uploads[name, upload]
        claimed = RANGE.fullmatch(request.headers.get("content-range", ""))
        if claimed and int(claimed[1]) != len(held):
            headers = {"Range": f"0-{max(len(held) - 1, 0)}"}
            raise RegistryError("RANGE_INVALID", "invalid content range", None, headers)
        held += await read_body(request, BLOB_LIMIT - len(held))

    def _finish(self, request: Request, name: str, upload: str) -> Response:
        digest = request.query_params.get("digest", "")
        if not DIGEST.fullmatch(digest):
            raise RegistryError("DIGEST_INVALID", "provided digest is invalid", digest[:200])
        content = bytes(self._uploads.pop((name, upload)))
        if digest_of(content) != digest:
            raise RegistryError("DIGEST_INVALID", "provided digest did not match uploaded content")
        self.store.put_blob(name, content, digest)
        return _created(name, digest)

    def _progress(self, name: str, upload: str, status: int) -> Response:
        size = len(self._uploads[name, upload])
        headers = {
            "Location": f"/v2/{name}/blobs/uploads/{upload}",
            "Range": f"0-{max(size - 1, 0)}",
            "Docker-Upload-UUID": upload,
        }
        return Response(status_code=status, headers=headers)


def _created(name: str, digest: str) -> Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return Response(status_code=201, headers=headers)
