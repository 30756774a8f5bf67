"""What the registry holds, in memory: blobs shared by all, manifests and tags by repository."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from flowmaster_delivery.sandbox.registry.errors import RegistryError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
NAME_LIMIT = 255

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MEDIA_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
FOREIGN_LAYERS = ("nondistributable", "foreign")
"""Parts of the media types of layers that a registry need not have."""


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Manifest:
    """A stored manifest: exactly the bytes that were pushed."""

    digest: str
    media_type: str
    content: bytes
    subject: str | None = None
    """Digest that this manifest refers to (a signature, an attestation)."""

    def descriptor(self) -> dict[str, object]:
        """Its entry in a referrers index."""
        body = json.loads(self.content)
        found: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.content),
        }
        kind = body.get("artifactType") or body.get("config", {}).get("mediaType")
        if kind:
            found["artifactType"] = kind
        if body.get("annotations"):
            found["annotations"] = body["annotations"]
        return found


@dataclass(slots=True)
class Repository:
    """One image path: its manifests by digest, and the tags on them."""

    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Store:
    """All repositories. Raises RegistryError with the specification's codes."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def repository(self, name: str) -> Repository:
        if name not in self.repositories:
            raise RegistryError(
                "NAME_UNKNOWN", "repository name not known to registry", {"name": name}
            )
        return self.repositories[name]

    def put_blob(self, name: str, content: bytes, digest: str) -> None:
        if digest_of(content) != digest:
            detail = {"digest": digest}
            raise RegistryError("DIGEST_INVALID", "provided digest did not match content", detail)
        self.blobs[digest] = content
        self.repositories.setdefault(name, Repository()).blobs.add(digest)

    def mount(self, name: str, digest: str, source: str) -> bool:
        """Let `name` have a blob of `source`; False where `source` does not have it."""
        held = self.repositories.get(source)
        if held is None or digest not in held.blobs:
            return False
        self.repositories.setdefault(name, Repository()).blobs.add(digest)
        return True

    def blob(self, name: str, digest: str) -> bytes:
        if digest not in self.repositories.get(name, Repository()).blobs:
            raise RegistryError("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
        return self.blobs[digest]

    def put_manifest(self, name: str, reference: str, media_type: str, content: bytes) -> Manifest:
        """Store a manifest under a digest or a tag; a tag that exists moves."""
        digest = digest_of(content)
        is_digest = DIGEST.fullmatch(reference) is not None
        if is_digest and digest != reference:
            detail = {"digest": reference}
            raise RegistryError("DIGEST_INVALID", "provided digest did not match content", detail)
        repository = self.repositories.get(name) or Repository()
        body = _parsed(content, media_type)
        _check_references(body, repository)
        manifest = Manifest(digest, media_type, content, _subject(body))
        repository.manifests[digest] = manifest
        if not is_digest:
            repository.tags[reference] = digest
        self.repositories[name] = repository
        return manifest

    def manifest(self, name: str, reference: str) -> Manifest:
        repository = self.repositories.get(name) or Repository()
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            detail = {"Name": name, "Reference": reference}
            raise RegistryError("MANIFEST_UNKNOWN", "manifest unknown", detail)
        return repository.manifests[digest]

    def delete_manifest(self, name: str, reference: str) -> None:
        """By tag: only the tag goes. By digest: the manifest and all tags on it."""
        manifest = self.manifest(name, reference)
        repository = self.repositories[name]
        if reference in repository.tags:
            del repository.tags[reference]
            return
        del repository.manifests[manifest.digest]
        kept = {t: d for t, d in repository.tags.items() if d != manifest.digest}
        repository.tags = kept

    def delete_blob(self, name: str, digest: str) -> None:
        self.blob(name, digest)
        self.repositories[name].blobs.discard(digest)

    def referrers(self, name: str, digest: str) -> Iterator[Manifest]:
        """Manifests of the repository whose subject is the digest; none is no fault."""
        repository = self.repositories.get(name) or Repository()
        return (m for m in repository.manifests.values() if m.subject == digest)


def _parsed(content: bytes, media_type: str) -> dict[str, object]:
    try:
        body = json.loads(content)
    except ValueError as error:
        raise RegistryError("MANIFEST_INVALID", "manifest invalid", str(error)) from error
    if media_type not in MEDIA_TYPES or not isinstance(body, dict):
        raise RegistryError("MANIFEST_INVALID", "manifest invalid", f"media type {media_type!r}")
    if body.get("schemaVersion") != 2 or body.get("mediaType", media_type) != media_type:
        raise RegistryError("MANIFEST_INVALID", "manifest invalid", "schema version or media type")
    wanted = "manifests" if media_type in (OCI_INDEX, DOCKER_LIST) else "config"
    if wanted not in body:
        raise RegistryError("MANIFEST_INVALID", "manifest invalid", f"no {wanted}")
    return body


def _check_references(body: dict[str, object], repository: Repository) -> None:
    parts = [body.get("config"), *_list(body.get("layers"))]
    blobs = [_digest(p) for p in parts if isinstance(p, dict) and not _is_foreign(p)]
    children = [_digest(p) for p in _list(body.get("manifests"))]
    missing = [d for d in blobs if d not in repository.blobs]
    missing += [d for d in children if d not in repository.manifests]
    if missing:
        raise RegistryError(
            "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": missing[0]}
        )


def _subject(body: dict[str, object]) -> str | None:
    subject = body.get("subject")
    return None if subject is None else _digest(subject)


def _digest(part: object) -> str:
    digest = part.get("digest") if isinstance(part, dict) else None
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise RegistryError("MANIFEST_INVALID", "manifest invalid", f"descriptor {part!r:.200}")
    return digest


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_foreign(part: dict[str, object]) -> bool:
    return any(word in str(part.get("mediaType", "")) for word in FOREIGN_LAYERS)
