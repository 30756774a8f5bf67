"""Requests to a registry: with what its door asks for, within patience, and faults in our words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import urljoin, urlsplit

from flowmaster_delivery.adapters.oci_registry.documents import faults
from flowmaster_delivery.adapters.oci_registry.door import RENEW, Door, origin
from flowmaster_delivery.adapters.wire import (
    MEGABYTE,
    Answer,
    Patience,
    Wire,
    excerpt,
    fault,
    on_own_link,
    retry_after,
)
from flowmaster_delivery.model.errors import DeliveryError, Malformed

MANIFEST_LIMIT = 4 * MEGABYTE
BLOB_LIMIT = 8 * MEGABYTE
MOVED = (301, 302, 303, 307, 308)
REDIRECTS = 3


class RegistryClient:
    """Answers of any status that is not the server's own failure, which is raised."""

    def __init__(self, url: str, wire: Wire, door: Door, patience: Patience) -> None:
        self._url, self._wire, self._door, self._patience = url, wire, door, patience

    def get(
        self, image: str, path: str, *, accept: str = "*/*", limit: int = MANIFEST_LIMIT
    ) -> Answer:
        """GET `/v2/<image>/<path>`, repeated while what goes wrong is transient."""
        url = f"{self._url}/v2/{image}/{path}"
        ask = partial(self._ask, "GET", url, image, {"Accept": accept}, None, limit)
        return self._patience.call(ask)

    def put(self, image: str, path: str, media_type: str, content: bytes) -> Answer:
        """PUT, once: Unreachable says that it may or may not have been done."""
        url = f"{self._url}/v2/{image}/{path}"
        headers = {"Content-Type": media_type}
        return self._ask("PUT", url, image, headers, content, MANIFEST_LIMIT)

    def begin_upload(self, image: str) -> Answer:
        """Ask for an upload, and call it off at once where it is granted: it leaves nothing."""
        url = f"{self._url}/v2/{image}/blobs/uploads/"
        answer = self._ask("POST", url, image, {}, b"", MANIFEST_LIMIT)
        place = urljoin(url, answer.headers.get("Location", ""))
        if answer.status == 202 and origin(place) == origin(self._url):
            self._ask("DELETE", place, image, {}, None, MANIFEST_LIMIT)
        return answer

    def blob(self, image: str, digest: str) -> bytes:
        """A small blob. It may lie elsewhere; there it is asked for without our credentials."""
        answer = self.get(image, f"blobs/{digest}", limit=BLOB_LIMIT)
        for _ in range(REDIRECTS):
            if answer.status not in MOVED:
                break
            answer = self._patience.call(partial(self._moved, answer, image))
        if answer.status != 200:
            raise refusal(answer, f"the registry, asked for blob {digest} of {image},")
        return answer.body

    def _moved(self, answer: Answer, image: str) -> Answer:
        target = urljoin(answer.url, answer.headers.get("Location", ""))
        here, there = origin(answer.url), origin(target)
        if there == origin(self._url):
            return self._ask("GET", target, image, {}, None, BLOB_LIMIT)
        if there[0] not in ("http", "https") or (here[0] == "https" and there[0] != "https"):
            raise Malformed(f"the registry redirects a blob of {image} to a {there[0]} address")
        if on_own_link(target) and not on_own_link(self._url):
            raise Malformed(
                f"the registry redirects a blob of {image} to {there[1]}, an address that means "
                "something else on each machine; it was not asked"
            )
        return _served(self._wire.send("GET", target, limit=BLOB_LIMIT))

    def _ask(
        self,
        method: str,
        url: str,
        image: str,
        headers: Mapping[str, str],
        content: bytes | None,
        limit: int,
    ) -> Answer:
        scope = f"repository:{image}:{'pull' if method == 'GET' else 'pull,push'}"
        send = partial(self._wire.send, method, url, content=content, limit=limit)
        known = self._door.known(scope)
        answer = send(headers={**headers, **known})
        if answer.status == 401:
            proof = self._door.answer(answer.headers.get("WWW-Authenticate", ""), scope)
            answer = send(headers={**headers, **proof})
        return _served(answer)


def _served(answer: Answer) -> Answer:
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise refusal(answer, f"the registry, asked for {urlsplit(answer.url).path},")
    return answer


def refusal(answer: Answer, what: str) -> DeliveryError:
    """An answer that is no success, with the registry's own words."""
    said = "; ".join(f"{found.code}: {found.message or ''}" for found in faults(answer.body))
    return fault(
        what,
        answer.status,
        said=excerpt(said),
        retry_after=retry_after(answer.headers),
        to_do=RENEW if answer.status in (401, 403) else "",
    )
