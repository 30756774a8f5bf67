"""Cases that the record holds against what ran, by another policy's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.model.analysis import Judgement, Limit
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.timeline import Timeline
from flowmaster_delivery.model.verification import Validation, Verification
from flowmaster_delivery.policy.analysis import judge
from flowmaster_delivery.policy.health import FAILING
from flowmaster_delivery.policy.rollback import Case

FIGURES = (Trigger.ERROR_RATE, Trigger.LATENCY)


@dataclass(frozen=True, slots=True)
class Seen:
    """A case, and when the policy would have had to decide it; None where that cannot be told."""

    at: datetime
    case: Case
    doubt: str = ""
    """Why it cannot be told whether it came to a case; empty where it did."""


def cases_of(service: Service, environment: Environment, timeline: Timeline) -> Iterator[Seen]:
    """Everything on record that could have spoken against an image of the service."""
    rule = environment.health
    yield from _of_health(timeline.looks_at(service.name, environment.name), rule)
    yield from _of_figures(service, environment, timeline)
    for record in timeline.deployments:
        if (record.service, record.environment) == (service.name, environment.name):
            yield from _of_rollout(record, service, environment)
    for verification in timeline.verifications:
        if (verification.service, verification.environment) == (service.name, environment.name):
            yield from _of_verification(verification, service, environment)


def _of_health(looks: Iterable[HealthObservation], rule: HealthRule) -> Iterator[Seen]:
    """Failed looks in a row, once a row. Between two records looks were made that are on none."""
    row: list[HealthObservation] = []
    said = False
    for look in looks:
        if row and (look.state is HealthState.HEALTHY or _another(row[-1], look)):
            if not said and _may_have_reached(row[-1], look, rule):
                words = f"{row[-1].failures_in_a_row} failed looks in a row are on record"
                yield Seen(look.at, _health_case(row), f"{words}; there may have been more")
            row, said = [], False
        if look.state not in FAILING:
            continue
        row.append(look)
        if look.failures_in_a_row >= rule.failures_in_a_row and not said:
            said = True
            yield Seen(look.at, _health_case(row))


def _another(before: HealthObservation, look: HealthObservation) -> bool:
    """Whether a failed look begins a row of its own: at another image, or counted anew."""
    other = look.digest is not None and before.digest not in (None, look.digest)
    anew = look.failures_in_a_row < before.failures_in_a_row
    return look.state in FAILING and (other or anew)


def _may_have_reached(last: HealthObservation, then: HealthObservation, rule: HealthRule) -> bool:
    passed = (then.at - last.at) / rule.look_every if rule.look_every else 0
    return last.failures_in_a_row + passed - 1 >= rule.failures_in_a_row


def _health_case(row: list[HealthObservation]) -> Case:
    last = row[-1]
    digest = next((look.digest for look in reversed(row) if look.digest), None)
    words = f"{last.failures_in_a_row} failed looks in a row: {last.state.value}"
    said = f"{words}, {last.reason}" if last.reason else words
    return Case(last.service, last.environment, Trigger.HEALTH, said, row[0].at, digest)


def _of_figures(service: Service, environment: Environment, timeline: Timeline) -> Iterator[Seen]:
    """Figures that were recorded with incidents and verifications, by this policy's limits."""
    measured = [
        (incident.from_digest, judgement)
        for incident in timeline.incidents
        if incident.environment == environment.name and incident.services[:1] == (service.name,)
        for judgement in incident.judgements
    ]
    measured += [
        (verification.digest, judgement)
        for verification in timeline.verifications
        if (verification.service, verification.environment) == (service.name, environment.name)
        for judgement in verification.figures
    ]
    rules = environment.safeguards_of(service).rollback
    for digest, judgement in measured:
        for trigger in FIGURES:
            limit = rules.of(trigger).limit
            again = judged_again(judgement, (limit,) if limit else ())
            if again and again.outcome is Outcome.FAILURE:
                at = judgement.measurement.at
                case = Case(
                    service.name, environment.name, trigger, again.words, at, digest, (again,)
                )
                yield Seen(at, case)


def judged_again(judgement: Judgement, limits: Iterable[Limit]) -> Judgement | None:
    """The measurement by the limit that is for it; None where none asks for this figure over the
    window that was asked for then, however much of it lay after the rollout: another window is
    another figure, and is not on record."""
    measurement = judgement.measurement
    asked = (measurement.figure, judgement.limit.window)
    for limit in limits:
        baseline = judgement.baseline
        if (limit.figure, limit.window) == asked and (baseline or not limit.times_baseline):
            return judge(measurement, limit, baseline)
    return None


def _of_rollout(
    record: DeploymentRecord, service: Service, environment: Environment
) -> Iterator[Seen]:
    """A rollout that failed, or whose canary this policy would have taken away."""
    if record.method is not Method.ROLLOUT:
        return
    bad = canary_failures(record, service, environment)
    if bad:
        trigger, words = Trigger.CANARY, "; ".join(one.words for one in bad)
    elif record.outcome is Outcome.FAILURE and not by_canary(record):
        trigger, words = Trigger.ROLLOUT, record.message or "it never came to run"
    else:
        return
    at = record.finished_at
    yield Seen(at, Case(service.name, environment.name, trigger, words, at, record.digest, bad))


def canary_failures(
    record: DeploymentRecord, service: Service, environment: Environment
) -> tuple[Judgement, ...]:
    """The judgements of its canary that are failures by this policy's limits."""
    rule = environment.safeguards_of(service).canary
    again = (judged_again(one, rule.limits if rule else ()) for one in record.judgements)
    return tuple(one for one in again if one and one.outcome is Outcome.FAILURE)


def by_canary(record: DeploymentRecord) -> bool:
    """Whether it was its canary that made a rollout fail."""
    failed = any(one.outcome is Outcome.FAILURE for one in record.judgements)
    return record.outcome is Outcome.FAILURE and failed


def _of_verification(
    verification: Verification, service: Service, environment: Environment
) -> Iterator[Seen]:
    """Failed tests that this policy asks for, and figures over its limits."""
    safeguards = environment.safeguards_of(service)
    wanted = set(safeguards.validation) - {Validation.PERFORMANCE}
    failed = [
        f"{result.validation}: {result.words}"
        for result in verification.results
        if result.validation in wanted and result.outcome is Outcome.FAILURE
    ]
    over: tuple[Judgement, ...] = ()
    if Validation.PERFORMANCE in safeguards.validation:
        again = (judged_again(f, safeguards.performance.limits) for f in verification.figures)
        over = tuple(one for one in again if one and one.outcome is Outcome.FAILURE)
    if failed or over:
        words = "; ".join([*failed, *(one.words for one in over)])
        at = verification.at
        case = Case(
            service.name, environment.name, Trigger.VERIFICATION, words, at,
            verification.digest, over,
        )  # fmt: skip
        yield Seen(at, case)
