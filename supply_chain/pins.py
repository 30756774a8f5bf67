"""A lock, as far as an audit cares: which package at which version, and from which files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.markers import Marker

IMAGE = {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"}
"""Where the image runs; the rest is asked of the interpreter."""
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>\S+)(?: ; (?P<marker>.+?))?(?: \\)?$"
)
HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One package; `hashes` are the SHA-256 digests of its files."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def pins(lock: str) -> tuple[Pin, ...]:
    """What a lock installs in the image. Raise ValueError where a package has no hash."""
    found: list[Pin] = []
    for block in re.split(r"\n(?=[a-z0-9])", lock.strip()):
        head = PIN.match(block.partition("\n")[0])
        if head is None:
            raise ValueError(f"no pin of a lock: {block.partition(chr(10))[0]!r}")
        hashes = tuple(HASH.findall(block))
        if not hashes:
            raise ValueError(f"{head['name']} {head['version']} has no hash")
        if not head["marker"] or Marker(head["marker"]).evaluate(IMAGE):
            found.append(Pin(head["name"], head["version"], hashes))
    return tuple(found)
