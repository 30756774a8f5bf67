"""What a look makes of what it saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.health import HealthRule, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger, TriggerRule
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.policy.watching import (
    first_period,
    measured_limits,
    of_judgement,
    of_look,
    resident,
)
from tests.builders import NOON, a_look

RULE = HealthRule(look_every=timedelta(seconds=20), failures_in_a_row=3)
WINDOW = timedelta(minutes=5)


def judged(outcome: Outcome, value: float = 0.1) -> Judgement:
    measured = Measurement(Figure.LATENCY_P95, "q", WINDOW, NOON, value, 500)
    return Judgement(measured, Limit(Figure.LATENCY_P95, 0.2, WINDOW), outcome, "too slow", 0.2)


def verified(digest: str, value: float, outcome: Outcome = Outcome.SUCCESS) -> Verification:
    figures = (judged(outcome, value),)
    return Verification("api", "production", digest, outcome, NOON, "run-1", figures=figures)


def test_the_case_begins_with_the_first_of_the_looks_that_make_it() -> None:
    case = of_look(a_look(NOON, HealthState.DEGRADED, failures=7), RULE)
    assert case is not None
    assert case.at == NOON - timedelta(seconds=40)
    assert case.words.startswith("7 looks in a row failed")


@pytest.mark.parametrize(
    ("state", "failures"),
    [
        (HealthState.DEGRADED, 2),
        (HealthState.UNKNOWN, 9),
        (HealthState.PROGRESSING, 9),
        (HealthState.MISSING, 9),
        (HealthState.HEALTHY, 0),
    ],
)
def test_other_looks_make_no_case(state: HealthState, failures: int) -> None:
    assert of_look(a_look(NOON, state, failures=failures), RULE) is None


def test_a_figure_speaks_of_its_whole_window() -> None:
    case = of_judgement("api", "production", Trigger.LATENCY, judged(Outcome.FAILURE), "B")
    assert case is not None
    assert (case.at, case.digest, case.words) == (NOON - WINDOW, "B", "too slow")


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.ERROR, Outcome.INCONCLUSIVE])
def test_only_a_failure_makes_a_case(outcome: Outcome) -> None:
    assert of_judgement("api", "production", Trigger.LATENCY, judged(outcome), "B") is None


def test_triggers_without_a_limit_are_not_measured() -> None:
    assert [trigger for trigger, _ in measured_limits(RollbackRule())] == [
        Trigger.ERROR_RATE,
        Trigger.LATENCY,
    ]
    rule = RollbackRule(triggers=(TriggerRule(Trigger.HEALTH, Action.AUTOMATIC),))
    assert list(measured_limits(rule)) == []


def brought(digest: str, method: Method = Method.ROLLOUT) -> DeploymentRecord:
    return DeploymentRecord(
        "api", "production", method, Outcome.SUCCESS, digest, None, "f", "c", NOON, NOON, "sam"
    )


def test_an_image_is_compared_with_its_own_verified_period() -> None:
    found = resident(brought("B"), (verified("C", 0.3), verified("B", 0.2), verified("A", 0.1)))
    assert (found.baseline[Figure.LATENCY_P95].value, found.own) == (0.2, True)


def test_without_one_it_is_compared_with_that_of_the_image_before() -> None:
    found = resident(brought("B"), (verified("B", 0.9, Outcome.FAILURE), verified("A", 0.1)))
    assert (found.baseline[Figure.LATENCY_P95].value, found.own) == (0.1, False)


def test_what_was_never_verified_is_compared_with_nothing() -> None:
    bare = replace(verified("B", 0.1), figures=())
    assert resident(brought("B"), (bare,)).baseline == {}


def baseline_limit(
    outcome: Outcome, window: timedelta = WINDOW, requests: float = 500
) -> Judgement:
    limit = Limit(Figure.LATENCY_P95, 2.0, WINDOW, times_baseline=True)
    measured = Measurement(Figure.LATENCY_P95, "q", window, NOON, 0.1, requests)
    return Judgement(measured, limit, outcome, "", None)


def test_figures_that_could_not_be_measured_are_compared_with_by_nobody() -> None:
    empty = verified("B", 0.1)
    (one,) = empty.figures
    blank = replace(one, measurement=replace(one.measurement, value=None))
    found = resident(brought("B"), (replace(empty, figures=(blank,)), verified("A", 0.2)))
    assert (found.baseline[Figure.LATENCY_P95].value, found.own) == (0.2, False)


def test_the_first_whole_window_of_a_verified_image_is_what_later_ones_are_compared_with() -> None:
    bare = replace(verified("B", 0.1), figures=())
    kept = first_period(
        resident(brought("B"), (bare,)), [baseline_limit(Outcome.INCONCLUSIVE)], NOON
    )
    assert kept is not None
    assert (kept.digest, kept.verified, len(kept.figures)) == ("B", True, 1)
    assert resident(brought("B"), (kept,)).own


@pytest.mark.parametrize(
    "judgement",
    [
        baseline_limit(Outcome.FAILURE),
        baseline_limit(Outcome.INCONCLUSIVE, WINDOW / 2),
        baseline_limit(Outcome.INCONCLUSIVE, requests=3),
    ],
    ids=["over its limit", "half a window", "too few requests"],
)
def test_nothing_less_is_kept_to_compare_with(judgement: Judgement) -> None:
    bare = replace(verified("B", 0.1), figures=())
    assert first_period(resident(brought("B"), (bare,)), [judgement], NOON) is None


def test_what_was_not_verified_or_has_its_figures_is_not_recorded_again() -> None:
    good = [baseline_limit(Outcome.SUCCESS)]
    assert first_period(resident(brought("B"), (verified("A", 0.1),)), good, NOON) is None
    assert first_period(resident(brought("B"), (verified("B", 0.1),)), good, NOON) is None


def test_what_was_adopted_awaits_no_verification() -> None:
    assert not resident(brought("B", Method.ADOPTION), ()).expected
    assert resident(brought("B"), ()).expected
