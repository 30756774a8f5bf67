"""Safeguards as a file says them, for an environment and, in part, for one service there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field, JsonValue

from flowmaster_delivery.adapters.yaml_catalog.values import Duration, Entry, Share
from flowmaster_delivery.model.analysis import Figure, Limit
from flowmaster_delivery.model.canary import CanaryRule, CanaryStep, Traffic
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.verification import (
    HttpStep,
    PerformanceRule,
    SmokeTest,
    Validation,
)


class HttpStepEntry(Entry):
    """One call. `{name}` stands for what an earlier step saved."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(pattern=r"^/[^\s#]*$", description="Below the service's address.")
    status: int = Field(default=200, ge=100, le=599)
    body: dict[str, JsonValue] | None = None
    headers: dict[str, str] = Field(default={})
    expect: dict[str, JsonValue] = Field(
        default={}, description="Dotted path into the JSON answer to the value that must be there."
    )
    save: dict[str, str] = Field(
        default={}, description="Name to the dotted path of what later steps may use."
    )


class SmokeEntry(Entry):
    """Calls one after the other, or a container that runs to its end."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")
    steps: tuple[HttpStepEntry, ...] = ()
    image: str = Field(default="", description="Container image of a Kubernetes Job.")
    command: tuple[str, ...] = ()
    timeout: Duration = timedelta(seconds=30)


class CanaryStepEntry(Entry):
    """So many pods for so long; `weight` counts where an HTTPRoute makes the share."""

    pods: int = Field(default=1, ge=1, le=1000)
    weight: int | None = Field(default=None, ge=1, le=100, description="Percent.")
    pause: Duration


class CanaryEntry(Entry):
    """How a new image is tried before the service is touched."""

    enabled: bool = True
    steps: tuple[CanaryStepEntry, ...] = Field(
        default=(
            CanaryStepEntry(pods=1, weight=10, pause=timedelta(minutes=5)),
            CanaryStepEntry(pods=1, weight=50, pause=timedelta(minutes=5)),
        ),
        min_length=1,
    )
    error_rate: Share = Field(default=0.01, description="Over it the canary is taken away.")
    latency_over_baseline: float | None = Field(
        default=2.0, gt=0, description="p95, times that of the pods beside it."
    )
    window: Duration = timedelta(minutes=5)
    min_requests: int | None = Field(
        default=None, ge=1, description="What a judgement needs; 3 / error_rate where not given."
    )
    traffic: Traffic = Traffic.PODS
    look_every: Duration = timedelta(seconds=20)
    patience: Duration = timedelta(minutes=10)
    errors_in_a_row: int = Field(default=4, ge=1)
    deadline: Duration = timedelta(hours=1)


class TriggerEntry(Entry):
    """A trigger without a number of its own."""

    action: Action = Action.AUTOMATIC


class ErrorRateEntry(Entry):
    action: Action = Action.AUTOMATIC
    over: Share = 0.05
    window: Duration = timedelta(minutes=5)
    min_requests: int | None = Field(default=None, ge=1)


class LatencyEntry(Entry):
    action: Action = Action.ASK
    over_baseline: float = Field(default=2.0, gt=0, description="p95, times that when verified.")
    window: Duration = timedelta(minutes=10)
    min_requests: int | None = Field(default=None, ge=1)


class RollbackEntry(Entry):
    """What speaks against an image, and what follows without a person."""

    health: TriggerEntry = TriggerEntry()
    error_rate: ErrorRateEntry = ErrorRateEntry()
    latency: LatencyEntry = LatencyEntry()
    rollout: TriggerEntry = TriggerEntry()
    verification: TriggerEntry = TriggerEntry()
    once_in: Duration = timedelta(hours=1)
    deadline: Duration = timedelta(minutes=30)
    ill_share: Share = 0.3
    whole_release: bool = False


class PerformanceEntry(Entry):
    """Figures right after a rollout."""

    window: Duration = timedelta(minutes=5)
    latency_p95: float = Field(default=0.2, gt=0, description="Seconds.")
    error_rate: Share = 0.001
    cpu: Share = 0.7
    memory: Share = 0.8
    min_requests: int | None = Field(default=None, ge=1)


class SafeguardsEntry(Entry):
    """What stands between a bad image and its users."""

    validation: tuple[Validation, ...] = Field(
        default=(Validation.HEALTH,), description="What makes an image a verified one."
    )
    canary: CanaryEntry | None = None
    rollback: RollbackEntry = RollbackEntry()
    performance: PerformanceEntry = PerformanceEntry()


def smoke_test(entry: SmokeEntry) -> SmokeTest:
    steps = tuple(HttpStep(**dict(step)) for step in entry.steps)
    return SmokeTest(entry.name, steps, entry.image, entry.command, entry.timeout)


def safeguards(entry: SafeguardsEntry) -> Safeguards:
    """What a complete entry says."""
    return Safeguards(
        validation=tuple(one for one in Validation if one in entry.validation),
        canary=_canary(entry.canary) if entry.canary and entry.canary.enabled else None,
        rollback=_rollback(entry.rollback),
        performance=_performance(entry.performance),
    )


def safeguards_over(base: SafeguardsEntry, own: SafeguardsEntry) -> Safeguards:
    """What a service's own entry says, and of the environment's what it is silent about."""
    fields = set(SafeguardsEntry.model_fields)
    under = base.model_dump(mode="json", exclude_unset=True, include=fields)
    over = own.model_dump(mode="json", exclude_unset=True)
    return safeguards(SafeguardsEntry.model_validate(_merged(under, over)))


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(below, value) if both else value  # type: ignore[arg-type]  # both are
    return merged


def _canary(entry: CanaryEntry) -> CanaryRule:
    limits = [Limit(Figure.ERROR_RATE, entry.error_rate, entry.window, False, entry.min_requests)]
    if entry.latency_over_baseline is not None:
        limits.append(_times_baseline(entry.latency_over_baseline, entry))
    return CanaryRule(
        steps=tuple(CanaryStep(step.pods, step.pause, step.weight) for step in entry.steps),
        limits=tuple(limits),
        traffic=entry.traffic,
        look_every=entry.look_every,
        patience=entry.patience,
        errors_in_a_row=entry.errors_in_a_row,
        deadline=entry.deadline,
    )


def _times_baseline(factor: float, entry: CanaryEntry | LatencyEntry) -> Limit:
    return Limit(
        Figure.LATENCY_P95,
        factor,
        entry.window,
        times_baseline=True,
        min_requests=entry.min_requests,
    )


def _rollback(entry: RollbackEntry) -> RollbackRule:
    rate, latency = entry.error_rate, entry.latency
    return RollbackRule(
        triggers=(
            TriggerRule(Trigger.HEALTH, entry.health.action),
            TriggerRule(
                Trigger.ERROR_RATE,
                rate.action,
                Limit(Figure.ERROR_RATE, rate.over, rate.window, min_requests=rate.min_requests),
            ),
            TriggerRule(
                Trigger.LATENCY,
                latency.action,
                _times_baseline(latency.over_baseline, latency),
            ),
            TriggerRule(Trigger.CANARY, Action.AUTOMATIC),
            TriggerRule(Trigger.ROLLOUT, entry.rollout.action),
            TriggerRule(Trigger.VERIFICATION, entry.verification.action),
        ),
        once_in=entry.once_in,
        deadline=entry.deadline,
        ill_share=entry.ill_share,
        whole_release=entry.whole_release,
    )


def _performance(entry: PerformanceEntry) -> PerformanceRule:
    of_requests = {
        Figure.LATENCY_P95: entry.latency_p95,
        Figure.ERROR_RATE: entry.error_rate,
    }
    of_containers = {Figure.CPU: entry.cpu, Figure.MEMORY: entry.memory}
    counted = (
        Limit(figure, at_most, entry.window, min_requests=entry.min_requests)
        for figure, at_most in of_requests.items()
    )
    used = (Limit(figure, at_most, entry.window) for figure, at_most in of_containers.items())
    return PerformanceRule((*counted, *used))
