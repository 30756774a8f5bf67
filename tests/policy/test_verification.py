"""What is due after a rollout, and what the answers come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.verification import CheckResult, Validation, Verification
from flowmaster_delivery.policy.verification import (
    due,
    hindrance,
    of_figures,
    of_health,
    outcome_of,
    passed_before,
)
from tests.builders import NOON, a_look, a_service, digest, staging

RECORD = DeploymentRecord(
    "api-gateway", "staging", Method.ROLLOUT, Outcome.SUCCESS, digest(), None, "fp", "c", NOON,
    NOON, "dana",
)  # fmt: skip
ALL = Safeguards(validation=tuple(Validation))


def judgement(figure: Figure, outcome: Outcome) -> Judgement:
    window = timedelta(minutes=5)
    measured = Measurement(figure, "q", window, NOON, 1.0)
    return Judgement(measured, Limit(figure, 1.0, window), outcome, f"{figure} is {outcome}")


def verification(outcome: Outcome, *results: CheckResult, of: str = digest()) -> Verification:
    return Verification("api-gateway", "staging", of, outcome, NOON, "run", results)


def test_what_the_environment_asks_for_is_due_in_the_order_of_asking() -> None:
    asked = (Validation.E2E, Validation.SMOKE)
    environment = staging(safeguards=Safeguards(validation=asked))
    assert due(a_service(), environment) == (Validation.HEALTH, Validation.SMOKE, Validation.E2E)


def test_a_service_may_have_validations_of_its_own() -> None:
    own = Safeguards(validation=(Validation.HEALTH, Validation.CONTRACT))
    service = a_service(safeguards={"staging": own})
    assert due(service, staging(safeguards=ALL)) == (Validation.HEALTH, Validation.CONTRACT)


@pytest.mark.parametrize("kind", [Kind.JOB, Kind.MANIFESTS, Kind.ARTIFACT])
def test_of_what_answers_no_calls_only_health_is_asked(kind: Kind) -> None:
    assert due(a_service(kind=kind), staging(safeguards=ALL)) == (Validation.HEALTH,)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (HealthState.HEALTHY, Outcome.SUCCESS),
        (HealthState.DEGRADED, Outcome.FAILURE),
        (HealthState.MISSING, Outcome.FAILURE),
        (HealthState.PROGRESSING, Outcome.INCONCLUSIVE),
        (HealthState.UNKNOWN, Outcome.ERROR),
    ],
)
def test_only_what_was_seen_to_be_ill_is_a_failure(state: HealthState, outcome: Outcome) -> None:
    assert of_health(a_look(state=state), RECORD).outcome is outcome


def test_another_image_than_the_one_that_was_rolled_out_proves_nothing() -> None:
    seen = replace(a_look(state=HealthState.DEGRADED), digest=digest("b"))
    health = of_health(seen, RECORD)
    assert health.outcome is Outcome.INCONCLUSIVE
    assert "somebody else changed it" in health.words
    assert hindrance(health, seen, RECORD) == "it is not what runs"


def test_only_a_failed_look_and_another_image_make_further_questions_pointless() -> None:
    for state, why in [
        (HealthState.DEGRADED, "it is not healthy"),
        (HealthState.HEALTHY, ""),
        (HealthState.UNKNOWN, ""),
    ]:
        seen = a_look(state=state)
        assert hindrance(of_health(seen, RECORD), seen, RECORD) == why


def test_one_failure_is_a_failure_whatever_else_could_not_be_told() -> None:
    results = [
        CheckResult(Validation.HEALTH, Outcome.SUCCESS, ""),
        CheckResult(Validation.SMOKE, Outcome.ERROR, ""),
        CheckResult(Validation.E2E, Outcome.FAILURE, ""),
    ]
    assert outcome_of(results) is Outcome.FAILURE
    assert outcome_of(results[:2]) is Outcome.ERROR
    assert outcome_of(results[:1]) is Outcome.SUCCESS
    assert outcome_of([]) is Outcome.INCONCLUSIVE


def test_figures_say_the_worst_of_them_and_keep_them_all() -> None:
    found = of_figures(
        [
            judgement(Figure.CPU, Outcome.SUCCESS),
            judgement(Figure.MEMORY, Outcome.INCONCLUSIVE),
            judgement(Figure.ERROR_RATE, Outcome.FAILURE),
        ]
    )
    assert (found.outcome, found.words) == (Outcome.FAILURE, "error_rate is failure")
    assert list(found.evidence) == ["error_rate", "memory", "cpu"]
    assert of_figures([]).outcome is Outcome.INCONCLUSIVE


def test_an_image_that_ran_already_and_was_verified_keeps_its_answer() -> None:
    good = CheckResult(Validation.CONTRACT, Outcome.SUCCESS, "passed", url="http://p/1")
    again = replace(RECORD, changed=False)
    known = [verification(Outcome.SUCCESS, good)]
    found = passed_before(Validation.CONTRACT, again, known)
    assert found is not None
    assert (found.outcome, found.url) == (Outcome.SUCCESS, "http://p/1")
    assert found.words == "nothing was rolled out; as of 2026-03-02 12:00 UTC: passed"
    assert passed_before(Validation.E2E, again, known) is None
    assert passed_before(Validation.CONTRACT, RECORD, known) is None


@pytest.mark.parametrize(
    "known",
    [
        [],
        [verification(Outcome.ERROR, CheckResult(Validation.CONTRACT, Outcome.SUCCESS, ""))],
        [
            verification(
                Outcome.SUCCESS,
                CheckResult(Validation.CONTRACT, Outcome.SUCCESS, ""),
                of=digest("b"),
            )
        ],
    ],
)
def test_an_image_that_was_never_verified_is_asked_again(known: list[Verification]) -> None:
    assert passed_before(Validation.CONTRACT, replace(RECORD, changed=False), known) is None
