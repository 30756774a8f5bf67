"""A service with a canary in its environment, and what may be asked of both."""

from __future__ import annotations

import pytest

from flowmaster_delivery.model.catalog import Catalog, Repository
from flowmaster_delivery.model.outcome import Outcome
from tests.fakes.fake_cluster import Killed
from tests.flows.killing import (
    API,
    OLD,
    PRODUCTION,
    Stage,
)

S, F, U, E = Outcome.SUCCESS, Outcome.FAILURE, Outcome.INCONCLUSIVE, Outcome.ERROR
CANARY = "api-canary"
CATALOG = Catalog(
    "test",
    "",
    "http://registry",
    {"platform": Repository("platform", "group/platform")},
    {"production": PRODUCTION},
    {"api": API},
)


def untouched(stage: Stage) -> bool:
    live = stage.cluster.deployments["api"]
    return (live.images["api"], live.generation, live.desired) == (OLD, 1, 3)


def alone(stage: Stage) -> bool:
    """Nothing of a canary is left."""
    return sorted(stage.cluster.deployments) == ["api"] and not stage.cluster.weights.get("api")


def killed_at(stage: Stage, call: str, run: str = "run-1") -> None:
    """Run, and be killed before the first use of a call."""

    def die() -> None:
        raise Killed

    stage.cluster.on_call[call] = die
    with pytest.raises(Killed):
        stage.go(run)
    stage.cluster.time.sleep(60)
