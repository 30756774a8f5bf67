"""Incidents: what spoke against a release, what was decided and done about it, told as a story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.rollback import Action, RollbackMethod, Trigger
from flowmaster_delivery.model.source import Commit


class IncidentState(StrEnum):
    ROLLING_BACK = "rolling_back"
    """Decided, and on its way: whoever finds it so and nobody at it carries it on."""
    ASKED = "asked"
    """Waits for a person."""
    ROLLED_BACK = "rolled_back"
    LEFT = "left"
    """Told, and nothing done: by rule, or since a person decided so."""
    FAILED = "failed"
    """The rollback failed: the environment is held until a person releases it."""

    @property
    def open(self) -> bool:
        return self in (IncidentState.ROLLING_BACK, IncidentState.ASKED)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of an incident's story."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Incident:
    """One case against what runs, with its evidence. Recorded again at each change of state."""

    id: str
    environment: str
    services: tuple[str, ...]
    trigger: Trigger
    action: Action
    state: IncidentState
    opened_at: datetime
    updated_at: datetime
    reason: str
    """What spoke against it, in one sentence."""
    why: str = ""
    """Why this was decided and not more: the rule."""
    method: RollbackMethod | None = None
    """As the person said who asked for it; None takes back as little as possible."""
    from_digest: str | None = None
    from_version: str | None = None
    from_commit: str = ""
    to_digest: str | None = None
    to_version: str | None = None
    judgements: tuple[Judgement, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)
    timeline: tuple[Moment, ...] = ()
    told: tuple[str, ...] = ()
    """Who was told: channels and people."""
    commits: tuple[Commit, ...] = ()
    """In what was rolled back, where they could be read."""
    deadline: datetime | None = None
    """By when a person should have decided."""
    decided_by: str = ""
    dismissed: tuple[Trigger, ...] = ()
    """What people decided to live with: it is not brought against this image again."""
    escalated_at: datetime | None = None
    """When it was told again, louder, since nobody had decided by the deadline."""
    failed: bool = False
    """Whether a rollback of it failed: it is not tried by itself again, whatever a person tried."""
    hold_id: str = ""
    run_id: str = ""
    """The run that opened it, or that carried it out; empty for the watch."""
