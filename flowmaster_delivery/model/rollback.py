"""Rollback: what sets one off, what may be done about it without a person, and how it goes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from flowmaster_delivery.model.analysis import Figure, Limit


class Trigger(StrEnum):
    """What speaks against an image that was brought to an environment."""

    HEALTH = "health"
    """Looks in a row that found it unhealthy."""
    ERROR_RATE = "error_rate"
    LATENCY = "latency"
    CANARY = "canary"
    ROLLOUT = "rollout"
    """It never came to run."""
    VERIFICATION = "verification"
    """A smoke, contract or end-to-end test failed, or a figure right after the rollout."""
    PERSON = "person"


class Action(StrEnum):
    AUTOMATIC = "automatic"
    ASK = "ask"
    """Tell people, and wait for one to decide; at the deadline it is told again, louder."""
    NEVER = "never"
    """Tell people."""


class RollbackMethod(StrEnum):
    """How far a rollback reaches (requirements, "Rollback Methods")."""

    REVISION = "revision"
    """A service's image; the schema is left alone."""
    RELEASE = "release"
    """All services that a release changed."""
    MIGRATION = "migration"
    """The image, and the schema as far as its migrations can be taken back."""


@dataclass(frozen=True, slots=True)
class TriggerRule:
    """`limit` where the trigger is a figure."""

    trigger: Trigger
    action: Action
    limit: Limit | None = None


DEFAULT_TRIGGERS = (
    TriggerRule(Trigger.HEALTH, Action.AUTOMATIC),
    TriggerRule(
        Trigger.ERROR_RATE,
        Action.AUTOMATIC,
        Limit(Figure.ERROR_RATE, 0.05, timedelta(minutes=5)),
    ),
    TriggerRule(
        Trigger.LATENCY,
        Action.ASK,
        Limit(Figure.LATENCY_P95, 2.0, timedelta(minutes=10), times_baseline=True),
    ),
    TriggerRule(Trigger.CANARY, Action.AUTOMATIC),
    TriggerRule(Trigger.ROLLOUT, Action.AUTOMATIC),
    TriggerRule(Trigger.VERIFICATION, Action.AUTOMATIC),
)
"""The requirements' table of triggers; a failed rollout and failed tests go back too."""


@dataclass(frozen=True, slots=True)
class RollbackRule:
    """What each trigger leads to. A trigger that is not named leads to nothing but being told."""

    triggers: tuple[TriggerRule, ...] = DEFAULT_TRIGGERS
    once_in: timedelta = timedelta(hours=1)
    """At most one automatic rollback of a service in this time."""
    deadline: timedelta = timedelta(minutes=30)
    """When somebody who was asked has not decided, it is told again, louder."""
    ill_share: float = 0.3
    """With more of the services than this failing in one look it is the environment that is ill."""
    whole_release: bool = False
    """Whether a failed wave takes back what the same run changed before it."""

    def of(self, trigger: Trigger) -> TriggerRule:
        """Raise nothing: what is not named is NEVER."""
        found = (rule for rule in self.triggers if rule.trigger is trigger)
        return next(found, TriggerRule(trigger, Action.NEVER))
