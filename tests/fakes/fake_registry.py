"""A registry in memory: digests with their commits, and tags that stand for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowmaster_delivery.model.errors import Refused
from flowmaster_delivery.model.image import RegistryImage


def digest(seed: str) -> str:
    """A digest that is always the same for the same seed."""
    return f"sha256:{hashlib.sha256(seed.encode()).hexdigest()}"


@dataclass
class FakeRegistry:
    images: dict[tuple[str, str], RegistryImage] = field(default_factory=dict)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)

    def push(
        self,
        image: str,
        commit: str,
        *,
        tag: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        made = digest(f"{image}@{commit}#{len(self.images)}")
        pushed = RegistryImage(made, size=1000, revision=commit, labels=dict(labels or {}))
        self.images[image, made] = pushed
        self.tags[image, tag or commit[:8]] = made
        return made

    def digest_of(self, image: str, tag: str) -> RegistryImage | None:
        found = self.tags.get((image, tag))
        return self.images.get((image, found)) if found else None

    def read(self, image: str, digest: str) -> RegistryImage | None:
        return self.images.get((image, digest))

    def tag(self, image: str, digest: str, tag: str) -> None:
        if self.tags.setdefault((image, tag), digest) != digest:
            raise Refused(f"{image}:{tag} stands for another digest; tag a new version")

    def has_signature(self, image: str, digest: str) -> bool:
        return digest in self.signed
