"""Canary: a small share of a service on the new image, judged step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from flowmaster_delivery.model.analysis import Limit
from flowmaster_delivery.model.outcome import Outcome


class Traffic(StrEnum):
    """How the share is made: by the number of pods, or by an HTTPRoute's weights."""

    PODS = "pods"
    ROUTE = "route"
    AUTO = "auto"
    """By weights where a route leads to the service, else by pods."""


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """So many canary pods for so long. `weight` (percent) counts where a route makes the share;
    without a route the share is what the pods make it, and is reported as that."""

    pods: int
    pause: timedelta
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class CanaryRule:
    """How a new image is tried before the service itself is touched."""

    steps: tuple[CanaryStep, ...]
    limits: tuple[Limit, ...]
    traffic: Traffic = Traffic.PODS
    look_every: timedelta = timedelta(seconds=20)
    """Between two judgements of a step."""
    patience: timedelta = timedelta(minutes=10)
    """How long a step may stay inconclusive beyond its pause before a person is asked."""
    errors_in_a_row: int = 4
    """Judgements that could not be made, before a person is asked."""
    deadline: timedelta = timedelta(hours=1)
    """How long a person is waited for; then it is told loudly and the canary is taken away."""


class CanaryCommand(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    """Go on to the whole service at once, unjudged."""
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class CanaryOrder:
    """What a person told a canary to do. It counts for the canary that ran at its time."""

    service: str
    environment: str
    command: CanaryCommand
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary as the cluster has it: all that is known of it stands in its annotations."""

    digest: str
    run_id: str
    token: int
    """The fencing token of its last write."""
    started_at: datetime
    expires_at: datetime
    """From then on whoever finds it without a living lease takes it away."""
    step: int = 0
    """Of the rule's steps, from 0."""
    step_began: datetime | None = None
    """When its pods were ready in this step's share; None while they are not."""
    asked_at: datetime | None = None
    """When a person was asked in this step, where one was."""
    weighted: bool = False
    """Whether an HTTPRoute makes its share."""
    version: str | None = None
    said: str = ""
    """The words of its last judgement."""
    verdict: Outcome | None = None
    """How it ended: written before anything follows from it."""
