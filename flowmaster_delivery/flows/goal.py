"""What a change of one service is about: who asked, the goal, the pace, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    PodProblem,
    Progress,
)

Clock = Callable[[], datetime]
StillAdmitted = Callable[[], str]
"""Why the candidate may not enter any more, or nothing; raises Transient where that is unknown."""


def always() -> str:
    """What is brought without a gate, as a rollback is, is never stopped by one."""
    return ""


def _ignore(_: Progress) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a change, in which run, and why."""

    run_id: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """Time, and how a waiting flow speaks with whoever runs it. `monotonic` is in seconds."""

    now: Clock
    on_progress: Callable[[Progress], None] = _ignore
    cancelled: Callable[[], bool] = _never
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Goal:
    """What a Deployment shall be brought to. `seconds` is the budget from the patch to the end."""

    service: Service
    reference: str
    annotations: Mapping[str, str | None]
    seconds: float
    preempt: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    outcome: Outcome
    message: str
    previous_digest: str | None = None
    revision: int | None = None
    token: int | None = None
    problems: tuple[PodProblem, ...] = field(default=())
    changed: bool = True
    judgements: tuple[Judgement, ...] = ()
