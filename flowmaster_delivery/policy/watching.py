"""What one look of the watch makes of what it saw: cases, and what figures are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import RollbackRule, Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.policy.analysis import usable
from flowmaster_delivery.policy.rollback import Case

COMPARED = Figure.LATENCY_P95
"""What later periods are compared in: a verification without it says nothing of that."""


@dataclass(frozen=True, slots=True)
class Resident:
    """An image that runs, since when, and the figures of the last verified period."""

    digest: str
    since: datetime
    """When the run that brought it ended: figures from before say nothing of it."""
    baseline: Mapping[Figure, Measurement] = field(default_factory=dict)
    own: bool = False
    """Whether those are of this image, and not of the one before."""
    verification: Verification | None = None
    """That it was verified, where it was."""
    expected: bool = False
    """Whether its own verification may still come."""


def of_look(look: HealthObservation, rule: HealthRule) -> Case | None:
    """The case of a service that failed in enough looks in a row; None where it did not.

    It begins with the first of the last looks that make it: what failed before says nothing. A
    Deployment that is gone cannot go back to anything.
    """
    enough = look.failures_in_a_row >= rule.failures_in_a_row
    if look.state is not HealthState.DEGRADED or not enough:
        return None
    count = rule.failures_in_a_row
    return Case(
        service=look.service,
        environment=look.environment,
        trigger=Trigger.HEALTH,
        words=f"{look.failures_in_a_row} looks in a row failed: {look.reason}",
        at=look.at - (count - 1) * rule.look_every,
        digest=look.digest,
        evidence=look.evidence,
    )


def of_judgement(
    service: str, environment: str, trigger: Trigger, judged: Judgement, digest: str
) -> Case | None:
    """The case of a figure over its limit; None where it is not, or where that is not known."""
    if judged.outcome is not Outcome.FAILURE:
        return None
    measured = judged.measurement
    return Case(
        service=service,
        environment=environment,
        trigger=trigger,
        words=judged.words,
        at=measured.at - measured.window,
        digest=digest,
        judgements=(judged,),
    )


def measured_limits(rule: RollbackRule) -> Iterator[tuple[Trigger, Limit]]:
    """The triggers that are figures, with their limits."""
    for one in rule.triggers:
        if one.limit is not None:
            yield one.trigger, one.limit


def resident(brought: DeploymentRecord, verifications: Iterable[Verification]) -> Resident:
    """What `brought` brought, with the figures of its newest verified period, else of that of the
    image before. What was adopted is never verified.

    `verifications` newest first.
    """
    digest = brought.digest
    verified = [one for one in verifications if one.verified]
    measured = [(one, known) for one in verified if COMPARED in (known := _known(one))]
    own = next((figures for one, figures in measured if one.digest == digest), None)
    last = next((one for one in verified if one.digest == digest), None)
    return Resident(
        digest=digest,
        since=brought.finished_at,
        baseline=own or next((figures for _, figures in measured), {}),
        own=own is not None,
        verification=last,
        expected=last is None and brought.method is not Method.ADOPTION,
    )


def first_period(
    resident: Resident, judged: Iterable[Judgement], now: datetime
) -> Verification | None:
    """The verification of an image with the figures of its first whole window, where there is none
    yet: later ones are compared with them. What is over its limit is nothing to compare with."""
    if resident.own or resident.verification is None:
        return None
    compared = [one for one in judged if one.limit.times_baseline]
    whole = [
        one
        for one in compared
        if one.outcome is not Outcome.FAILURE
        and one.measurement.window >= one.limit.window
        and usable(one.measurement, one.limit)
    ]
    if not whole or len(whole) < len(compared):
        return None
    return replace(resident.verification, at=now, figures=tuple(whole))


def compared_with(known: Resident, verification: Verification) -> Resident:
    """With the figures of a verification of its own."""
    return replace(known, baseline=_known(verification), own=True, verification=verification)


def _known(verification: Verification) -> dict[Figure, Measurement]:
    measured = (one.measurement for one in verification.figures)
    return {one.figure: one for one in measured if one.value is not None and not one.error}
