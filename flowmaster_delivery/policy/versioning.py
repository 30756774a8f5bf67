"""Versions: which tags are releases, and which of several is the newest (Semantic Versioning 2)."""

from __future__ import annotations

from collections.abc import Iterable

import semver


def parse(tag: str) -> semver.Version | None:
    """The version that a tag names, None where it is not exactly `vX.Y.Z` (requirements, "Format").

    Pre-releases and build metadata are no releases: they never reach an environment.
    """
    if not tag.startswith("v"):
        return None
    try:
        version = semver.Version.parse(tag[1:])
    except ValueError:
        return None
    return None if version.prerelease or version.build else version


def is_version(tag: str) -> bool:
    """Whether a tag is a release: `v1.2.3`, not `1.2.3`, `v1.2` or `v1.2.3-rc.1`."""
    return parse(tag) is not None


def newest_version(tags: Iterable[str]) -> str | None:
    """The highest version among the tags; those that are no versions do not count."""
    versions = [(version, tag) for tag in tags if (version := parse(tag))]
    return max(versions, default=(None, None))[1]
