"""Which image stands for a service's source: reuse before build, by fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from flowmaster_delivery.model.image import ImageRecord


def source_digest(fingerprint: str) -> str:
    """The digest of a service that has no image of its own (manifests): of its source."""
    return f"sha256:{hashlib.sha256(fingerprint.encode()).hexdigest()}"


def known_image(
    records: Iterable[ImageRecord], fingerprint: str, prefer: str | None
) -> ImageRecord | None:
    """An image that was built from this very source; of environment `prefer` if it has one.

    Newest first within an environment, so that a rebuild which replaced a broken image wins.
    """
    same = [record for record in records if record.fingerprint == fingerprint]
    preferred = [record for record in same if record.environment == prefer]
    return max(preferred or same, key=lambda record: record.at, default=None)
