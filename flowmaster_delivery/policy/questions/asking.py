"""What a question is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.facts import GateFacts, Unread
from flowmaster_delivery.model.promotion import Candidate, GateState


@dataclass(frozen=True, slots=True)
class Asked:
    """One candidate at one environment's gate, with all that was read."""

    candidate: Candidate
    service: Service
    environment: Environment
    upstream: Environment | None
    facts: GateFacts
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to; `remedy` and `opens_at` as in GateCheck."""

    state: GateState
    summary: str
    remedy: str = ""
    opens_at: datetime | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


Question = Callable[[Asked], Answer | Unread]
"""Unread where the fact that it asks for is not known."""


def met(summary: str, evidence: Mapping[str, object] | None = None) -> Answer:
    return Answer(GateState.MET, summary, evidence=_words(evidence or {}))


def unmet(
    summary: str,
    remedy: str,
    evidence: Mapping[str, object] | None = None,
    opens_at: datetime | None = None,
) -> Answer:
    return Answer(GateState.UNMET, summary, remedy, opens_at, _words(evidence or {}))


def unreadable(fact: Unread) -> Answer:
    """Closed, and nobody's fault."""
    return Answer(
        GateState.UNREADABLE,
        f"could not be read: {fact.why}",
        "ask again when it can be read; nothing was decided",
    )


def _words(evidence: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in evidence.items() if value not in (None, "")}
