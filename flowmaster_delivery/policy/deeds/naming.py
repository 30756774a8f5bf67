"""Who acts, and what there is to say of it beside the rest."""

from __future__ import annotations

PLATFORM = "flowmaster"
"""Who acts where no person does."""
BY_PLATFORM = "platform"


def via_of(who: str, via: str) -> str:
    """How it is known who: of a person as it was found out, of the platform by itself."""
    return BY_PLATFORM if who == PLATFORM else via


def said(**details: object) -> dict[str, str]:
    """What there is to say, empty ones left out."""
    return {name: str(value) for name, value in details.items() if value not in (None, "")}
