"""Amounts of CPU and memory as Kubernetes writes them: `500m`, `512Mi`, `2`."""

from __future__ import annotations

from functools import lru_cache

SUFFIXES = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
}


@lru_cache(maxsize=256)
def quantity(text: str) -> float | None:
    """Cores or bytes; None for what is no quantity."""
    number = text.rstrip("".join(SUFFIXES))
    try:
        return float(number) * (SUFFIXES[text[len(number) :]] if number != text else 1.0)
    except (KeyError, ValueError):
        return None
