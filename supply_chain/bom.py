"""The bill of materials of the image: the environment's own, cut to the lock, with its hashes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from supply_chain.pins import Pin

Document = Mapping[str, Any]
ROOT = "root-component"
"""How cyclonedx-py refers to the project itself."""


def bill(environment: Document, pins: Iterable[Pin]) -> dict[str, Any]:
    """What the lock names, out of an environment that holds it and more.

    The environment knows licenses and who needs whom, the lock knows the files by their hashes.
    Raise ValueError where the environment has another version than the lock, or none.
    """
    wanted = {pin.name: pin for pin in pins}
    found = {normal(part["name"]): part for part in environment["components"]}
    wrong = [str(p) for p in wanted.values() if found.get(p.name, {}).get("version") != p.version]
    if wrong:
        raise ValueError(f"the environment is not the lock's: {', '.join(wrong)}; make it again")
    kept = {found[name]["bom-ref"] for name in wanted} | {ROOT}
    return {
        **environment,
        "components": [_hashed(found[name], wanted[name]) for name in sorted(wanted)],
        "dependencies": [
            _among(kept, entry) for entry in environment["dependencies"] if entry["ref"] in kept
        ],
    }


def normal(name: str) -> str:
    """As a lock writes it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _hashed(part: Document, pin: Pin) -> dict[str, Any]:
    files = {
        "type": "distribution",
        "comment": "one of these files, by requirements-image.lock",
        "url": part["purl"],
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
    }
    return {**part, "externalReferences": [*part.get("externalReferences", []), files]}


def _among(kept: set[str], entry: Document) -> dict[str, Any]:
    needs = [ref for ref in entry.get("dependsOn", []) if ref in kept]
    return {"ref": entry["ref"], **({"dependsOn": needs} if needs else {})}
