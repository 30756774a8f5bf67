"""A person promotes while another rolls back, at every moment of the promotion.

Whoever rolls back has the last word: their hold stands before the cluster is touched, and their
token is newer than that of whoever is at it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.model.canary import CanaryRule, Traffic
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.rollout import fence
from tests.fakes.mortal import Process
from tests.flows.killing_promotion import RULE, Run, Stage
from tests.flows.killing_rollback import STORIES

PERSON = STORIES[1]
OLDER = f"sha256:{'0' * 64}"


BY_ROUTE = replace(RULE, traffic=Traffic.ROUTE)


def a_stage(canary: CanaryRule | None) -> Stage:
    """What runs came after an older image, which is where a rollback goes to."""
    stage = Stage(canary=canary)
    stage.cluster.weights["api"] = 0
    history = stage.platform.history
    last = history.deployments("api", "production")[0]
    long_ago = last.finished_at - timedelta(days=9)
    older = replace(last, digest=OLDER, started_at=long_ago, finished_at=long_ago, version="v0.9.0")
    seen = HealthObservation("api", "production", HealthState.HEALTHY, OLDER, "f", long_ago)
    history.records[:0] = [older, seen]
    return stage


def calls(canary: CanaryRule | None) -> dict[str, list[int]]:
    """Numbers of a promotion's calls, by what is called."""
    stage, process = a_stage(canary), Process()
    Run(stage, "run-1", process).go()
    found = defaultdict(list)
    for number, name in enumerate(process.calls):
        found[name].append(number)
    return found


CASES = [
    pytest.param(canary, numbers, id=f"{way}-{name}")
    for way, canary in (("pods", RULE), ("route", BY_ROUTE), ("plain", None))
    for name, numbers in calls(canary).items()
]


@pytest.mark.parametrize(("canary", "numbers"), CASES)
def test_whoever_rolls_back_during_a_promotion_has_the_last_word(
    canary: CanaryRule | None, numbers: list[int]
) -> None:
    wrong = {number: words for number in numbers if (words := what_is_wrong(canary, number))}
    assert wrong == {}


def what_is_wrong(canary: CanaryRule | None, number: int) -> str:
    stage = a_stage(canary)

    def roll_back() -> None:
        PERSON.act(stage, "run-back", Process())

    Run(stage, "run-1", Process(number, meanwhile=roll_back)).go()
    history, live = stage.platform.history, stage.cluster.deployments["api"]
    old, new = stage.digest(stage.old), stage.digest(stage.new)
    (back,) = (
        record
        for record in history.records
        if isinstance(record, DeploymentRecord) and record.method is Method.ROLLBACK
    )
    others = {
        record.outcome
        for record in history.records
        if isinstance(record, DeploymentRecord) and record.run_id == "run-1"
    }
    expected = {
        "rollback": (back.outcome, Outcome.SUCCESS),
        "image": (live.images["api"].rpartition("@")[2], back.digest),
        "token": (fence(live), back.token),
        "weight": (stage.cluster.weights["api"], 0),
        "what is left": (sorted(stage.cluster.deployments), ["api"]),
        "incidents": (
            [i.state for i in history.incidents("production")], [IncidentState.ROLLED_BACK],
        ),
        "holds": ([h.service for h in history.holds() if h.active], ["api"]),
    }  # fmt: skip
    found = [f"{what} is {a}, not {b}" for what, (a, b) in expected.items() if a != b]
    if back.digest not in (OLDER, old) or new == back.digest:
        found.append(f"back to {back.digest}")
    if not others <= {Outcome.SUCCESS, Outcome.INCONCLUSIVE}:
        found.append(f"the promotion is told as {others}")
    return "; ".join(found)
