"""Images: a digest, with the source it was built from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

OURS = "ai.flowmaster."
"""What the labels begin with in which images tell of themselves."""
DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


def fingerprint(trees: Mapping[str, str | None]) -> str:
    """The content identity of a service's source: its paths with their git tree (or blob) ids.

    A path that does not exist at the commit counts as such: its appearance is a change.
    Rule: design §3.2. The order of the paths does not matter.
    """
    lines = (f"{path}\0{trees[path] or '-'}\n" for path in sorted(trees))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:40]


class Origin(StrEnum):
    """Where an image of an environment came from."""

    BUILT = "built"
    REUSED = "reused"
    PROMOTED = "promoted"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class RegistryImage:
    """What the registry says of a manifest. `revision` is the commit its label names; `labels` are
    those that begin with OURS, and no others."""

    digest: str
    size: int | None = None
    revision: str | None = None
    created: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """That an environment's ref stands for this image of a service: `<service>/image`."""

    service: str
    environment: str
    digest: str
    fingerprint: str
    commit: str
    """The commit of the ref that asked for it."""
    built_from: str
    """The commit that CI built it from; an ancestor of `commit` where the image is reused."""
    ref: str
    origin: Origin
    at: datetime
    version: str | None = None
    pipeline: int | None = None
    pipeline_url: str = ""
    commit_url: str = ""
    size: int | None = None
