"""The port `Registry` on an OCI registry."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowmaster_delivery.adapters.oci_registry.client import RegistryClient, refusal
from flowmaster_delivery.adapters.oci_registry.documents import (
    MANIFESTS,
    OCI_INDEX,
    REVISION,
    Config,
    Manifest,
    faults,
    own_labels,
    parsed,
)
from flowmaster_delivery.adapters.oci_registry.door import Door
from flowmaster_delivery.adapters.wire import Answer, OnRequest, Patience, Wire, excerpt
from flowmaster_delivery.model.errors import Malformed, NotFound, Refused, Unreachable
from flowmaster_delivery.model.image import DIGEST, RegistryImage

IMAGE = re.compile(r"[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


@dataclass(frozen=True, slots=True)
class _Document:
    """A manifest as it is stored: its bytes are its identity."""

    digest: str
    media_type: str
    body: bytes


class OciRegistry:
    """The registry at `url`. Thread-safe.

    `trusted` are further addresses (GitLab's) whose token service may get user and password.
    `timeout` in seconds is for each step of a request; reads are repeated within `patience`.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: Callable[[], str | None] = lambda: None,
        trusted: Iterable[str] = (),
        timeout: float = 10.0,
        patience: Patience | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        url = url.rstrip("/")
        self._wire = Wire("the registry", url, timeout=timeout, on_request=on_request)
        door = Door(self._wire, url, user=user, password=password, trusted=trusted)
        self._client = RegistryClient(url, self._wire, door, patience or Patience())

    def close(self) -> None:
        """Give all connections back; the registry is of no use after."""
        self._wire.close()

    def digest_of(self, image: str, tag: str) -> RegistryImage | None:
        document = self._manifest(image, _valid(TAG, tag, "tag"))
        return self._described(image, document) if document else None

    def read(self, image: str, digest: str) -> RegistryImage | None:
        document = self._manifest(image, _valid(DIGEST, digest, "digest"))
        return self._described(image, document) if document else None

    def tag(self, image: str, digest: str, tag: str) -> None:
        """No registry can be told to write only a free tag, so it is read before and after."""
        present = self._manifest(image, _valid(TAG, tag, "tag"))
        if present is None:
            self._put(image, _valid(DIGEST, digest, "digest"), tag)
            present = self._manifest(image, tag)
        if present is None:
            raise Unreachable(f"the registry took {image}:{tag} and does not show it; try again")
        if present.digest != digest:
            raise Refused(
                f"{image}:{tag} stands for {present.digest} already; a version never moves to "
                f"another image ({digest}): tag a new version"
            )

    def has_signature(self, image: str, digest: str) -> bool:
        """By the referrers API, its tag schema, or cosign's own tag `sha256-<hex>.sig`."""
        if any(m.is_signature for m in self._referrers(image, digest).manifests):
            return True
        return self._manifest(image, f"{digest.replace(':', '-')}.sig") is not None

    def check_pull(self, image: str) -> None:
        """Raise Denied where we may not read there. Whether the tag exists does not matter."""
        self._manifest(image, "flowmaster-doctor")

    def check_push(self, image: str) -> None:
        """Raise Denied where we may not write there."""
        answer = self._client.begin_upload(_valid(IMAGE, image, "image"))
        if answer.status != 202:
            raise refusal(answer, f"the registry, asked whether we may write to {image},")

    def _put(self, image: str, digest: str, tag: str) -> None:
        document = self._manifest(image, digest)
        if document is None:
            raise NotFound(f"the registry has no {image}@{digest}; it cannot be tagged {tag}")
        try:
            answer = self._client.put(image, f"manifests/{tag}", document.media_type, document.body)
        except Unreachable:
            if self._manifest(image, tag) is None:
                raise
            return  # it was done, or somebody else was first: the caller sees which
        if answer.status not in (200, 201, 202):
            raise refusal(answer, f"the registry, asked to tag {image} as {tag},")

    def _manifest(self, image: str, reference: str) -> _Document | None:
        """None only where the registry itself says in its own form that there is none."""
        path = f"manifests/{reference}"
        accept = ", ".join(MANIFESTS)
        answer = self._client.get(_valid(IMAGE, image, "image"), path, accept=accept)
        if answer.status == 404:
            _check_absent(answer, f"{image}, {reference}")
            return None
        if answer.status != 200:
            raise refusal(answer, f"the registry, asked for {image}, {reference},")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        return _Document(_verified(answer, image, reference), media_type, answer.body)

    def _described(self, image: str, document: _Document) -> RegistryImage:
        manifest = parsed(Manifest, document.body, f"the manifest {document.digest} of {image}")
        if manifest.config is None and manifest.default:
            manifest = self._of_platform(image, manifest.default.digest)
        config = self._config(image, manifest)
        return RegistryImage(
            digest=document.digest,
            size=manifest.size,
            revision=config.labels.get(REVISION) or (manifest.annotations or {}).get(REVISION),
            created=config.created,
            labels=own_labels(config, f"{image}@{document.digest}"),
        )

    def _of_platform(self, image: str, digest: str) -> Manifest:
        inner = self._manifest(image, _valid(DIGEST, digest, "digest"))
        if inner is None:
            raise Malformed(f"an index of {image} lists {digest}, which the registry has not")
        return parsed(Manifest, inner.body, f"the manifest {digest} of {image}")

    def _config(self, image: str, manifest: Manifest) -> Config:
        if manifest.config is None or ".image." not in manifest.config.media_type:
            return Config()  # an artifact, no container image: it has no labels
        digest = _valid(DIGEST, manifest.config.digest, "digest")
        body = self._client.blob(image, digest)
        if _hash(body) != digest:
            raise Malformed(f"the registry sent another config of {image} than {digest}")
        return parsed(Config, body, f"the config {digest} of {image}")

    def _referrers(self, image: str, digest: str) -> Manifest:
        path = f"referrers/{_valid(DIGEST, digest, 'digest')}"
        answer = self._client.get(_valid(IMAGE, image, "image"), path, accept=OCI_INDEX)
        if answer.status == 200:
            return parsed(Manifest, answer.body, f"the list of what refers to {image}@{digest}")
        if answer.status not in (400, 404, 405):  # an older registry does not know the question
            raise refusal(answer, f"the registry, asked what refers to {image}@{digest},")
        listed = self._manifest(image, digest.replace(":", "-"))
        return parsed(Manifest, listed.body, "the referrers' tag") if listed else Manifest()


def _check_absent(answer: Answer, what: str) -> None:
    if not any(found.code in ABSENT for found in faults(answer.body)):
        raise Malformed(
            f"a 404 came for {what} that is not a registry's ({excerpt(answer.body, 80)}); "
            "check the registry's address in the catalog"
        )


def _verified(answer: Answer, image: str, reference: str) -> str:
    digest = _hash(answer.body)
    named = answer.headers.get("Docker-Content-Digest", digest)
    if digest != named or (DIGEST.fullmatch(reference) and digest != reference):
        raise Malformed(
            f"the registry sent a manifest of {image} whose digest is {digest}, "
            f"not {reference if DIGEST.fullmatch(reference) else named}; it is not used"
        )
    return digest


def _valid(form: re.Pattern[str], text: str, what: str) -> str:
    if len(text) > 255 or not form.fullmatch(text):
        raise Malformed(f"{excerpt(text, 80)!r} cannot be the {what} of a registry's image")
    return text


def _hash(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
