"""Safeguards: all that stands between a bad image and its users, as one environment's policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmaster_delivery.model.canary import CanaryRule
from flowmaster_delivery.model.rollback import RollbackRule
from flowmaster_delivery.model.verification import PerformanceRule, Validation


@dataclass(frozen=True, slots=True)
class Safeguards:
    """What stands between a bad image and its users: the policy of one environment, or of one
    service there."""

    validation: tuple[Validation, ...] = (Validation.HEALTH,)
    canary: CanaryRule | None = None
    rollback: RollbackRule = field(default_factory=RollbackRule)
    performance: PerformanceRule = field(default_factory=PerformanceRule)
