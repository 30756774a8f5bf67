"""Two people at one service at the same moment, on the sandbox and a real API server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Done, Goal, Pace
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.policy.rollout import digest_in, fence
from tests.contracts.namespaces import API, Namespace, a_digest, a_reference

LATER = (0.0, 0.01, 0.05, 0.2, 0.6)
"""Seconds that the second person begins after the first."""


def both(*acts: Callable[[], Done], later: float) -> list[Done]:
    """What comes of both, begun at the same moment or the second a little later."""
    start = threading.Barrier(len(acts))

    def begun(number: int) -> Done:
        start.wait()
        threading.Event().wait(number * later)
        return acts[number]()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(begun, range(len(acts))))


def act(room: Namespace, run: str, digest: str, *, preempt: bool) -> Callable[[], Done]:
    goal = Goal(API, a_reference(digest), {"flowmaster.ai/run": run}, 30.0, preempt=preempt)
    return lambda: bring(goal, room.cluster, run, Pace(lambda: datetime.now(UTC)))


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("first_rolls_back", [False, True], ids=["promotion", "rollback"])
def test_one_of_two_has_the_last_word_and_the_other_knows(
    room: Namespace, later: float, *, first_rolls_back: bool
) -> None:
    room.deploy(a_reference(a_digest()), replicas=1)
    digests = [a_digest(), a_digest()]
    done = both(
        act(room, "run-1", digests[0], preempt=first_rolls_back),
        act(room, "run-2", digests[1], preempt=True),
        later=later,
    )
    tokens = [one.token or 0 for one in done]
    last = tokens.index(max(tokens))
    assert tokens[0] != tokens[1]
    assert done[last].outcome is Outcome.SUCCESS, done[last].message
    assert done[1 - last].outcome in (Outcome.SUCCESS, Outcome.INCONCLUSIVE), done[1 - last]
    live = room.cluster.workload(API)
    assert digest_in(live.images["app"]) == digests[last]
    assert fence(live) == tokens[last]
