"""Verification: which validations are due after a rollout, and what their answers come to."""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.catalog import Environment, Kind, Service
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.outcome import WORST_FIRST, Outcome, worst
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification

HEALTH_OUTCOMES = {
    HealthState.HEALTHY: Outcome.SUCCESS,
    HealthState.PROGRESSING: Outcome.INCONCLUSIVE,
    HealthState.UNKNOWN: Outcome.ERROR,
    HealthState.DEGRADED: Outcome.FAILURE,
    HealthState.MISSING: Outcome.FAILURE,
}


def due(service: Service, environment: Environment) -> tuple[Validation, ...]:
    """What the environment asks of the service, in the order in which it is asked.

    Health always; jobs, manifests and artifacts answer no calls, so of them nothing else.
    """
    if service.kind is not Kind.DEPLOYMENT:
        return (Validation.HEALTH,)
    asked = environment.safeguards_of(service).validation
    return tuple(one for one in Validation if one is Validation.HEALTH or one in asked)


def of_health(seen: HealthObservation, record: DeploymentRecord) -> CheckResult:
    """What a look after the rollout says of the image that was rolled out."""
    outcome = HEALTH_OUTCOMES[seen.state]
    words = seen.reason or f"{seen.service} is {seen.state}"
    if seen.digest is not None and seen.digest != record.digest:
        outcome = Outcome.INCONCLUSIVE
        words = (
            f"{seen.environment} runs {_short(seen.digest)}, and not {_short(record.digest)}, "
            "which was rolled out last: somebody else changed it"
        )
    return CheckResult(Validation.HEALTH, outcome, words, seen.evidence)


def hindrance(health: CheckResult, seen: HealthObservation, record: DeploymentRecord) -> str:
    """Why asking anything else would say nothing of this image; empty where it would."""
    if health.outcome is Outcome.FAILURE:
        return "it is not healthy"
    if seen.digest is not None and seen.digest != record.digest:
        return "it is not what runs"
    return ""


def not_asked(validation: Validation, why: str) -> CheckResult:
    return CheckResult(validation, Outcome.INCONCLUSIVE, f"not asked: {why}")


def of_figures(judgements: Iterable[Judgement]) -> CheckResult:
    """All figures together; the worst ones are said first."""
    ordered = sorted(judgements, key=lambda one: WORST_FIRST.index(one.outcome))
    if not ordered:
        words = "no figure is measured here; name `metrics` and limits in the catalog"
        return CheckResult(Validation.PERFORMANCE, Outcome.INCONCLUSIVE, words)
    outcome = worst(one.outcome for one in ordered)
    told = [one for one in ordered if one.outcome is outcome]
    return CheckResult(
        Validation.PERFORMANCE,
        outcome,
        "; ".join(one.words for one in told),
        {one.limit.figure.value: f"{one.outcome}: {one.words}" for one in ordered},
    )


def passed_before(
    validation: Validation,
    record: DeploymentRecord,
    verifications: Iterable[Verification],
) -> CheckResult | None:
    """The answer that stands for an image that ran already and was found good: nothing was rolled
    out, so there is nothing to test anew. None where it has to be asked."""
    if record.changed:
        return None
    last = next((one for one in verifications if one.digest == record.digest), None)
    if last is None or not last.verified:
        return None
    known = next((one for one in last.results if one.validation is validation), None)
    if known is None:
        return None
    words = f"nothing was rolled out; as of {last.at:%Y-%m-%d %H:%M} UTC: {known.words}"
    return CheckResult(validation, known.outcome, words, known.evidence, known.url)


def outcome_of(results: Iterable[CheckResult]) -> Outcome:
    """Verified only where every validation succeeded."""
    return worst(result.outcome for result in results)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
