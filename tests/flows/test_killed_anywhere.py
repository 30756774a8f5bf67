"""Promotions and rollbacks whose process is killed at every call that they make to anybody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest

from tests.fakes.mortal import Process
from tests.flows import killing_promotion, killing_rollback
from tests.flows.kill_point import KillPoint, S

PORTS = {"forge", "registry", "cluster", "history", "metrics"}


def by_call(points: Iterable[KillPoint[S]]) -> dict[str, list[KillPoint[S]]]:
    """The points of each kind of call, so that one test holds all of a kind."""
    found = defaultdict(list)
    for point in points:
        found[point.name].append(point)
    return found


PROMOTION = by_call(killing_promotion.kill_points())
ROLLBACK = by_call(killing_rollback.kill_points())


@pytest.mark.parametrize("call", PROMOTION)
def test_a_promotion_killed_anywhere_reaches_the_same_end_without_a_second_effect(
    call: str,
) -> None:
    points = PROMOTION[call]
    assert {str(p): lost for p in points if (lost := killing_promotion.survived(p))} == {}


@pytest.mark.parametrize("watch_first", [False, True], ids=["run-first", "watch-first"])
@pytest.mark.parametrize("call", ROLLBACK)
def test_a_rollback_killed_anywhere_reaches_the_same_end_without_a_second_effect(
    call: str, *, watch_first: bool
) -> None:
    points = ROLLBACK[call]
    lost = {str(p): killing_rollback.survived(p, watch_first=watch_first) for p in points}
    assert {point: words for point, words in lost.items() if words} == {}


def test_every_port_is_asked_and_every_record_written_on_the_way() -> None:
    stage, process = killing_promotion.Stage(), Process()
    killing_promotion.Run(stage, "run-1", process).go()
    assert {name.partition(".")[0] for name in process.calls} == PORTS
    wanted = {
        "registry.tag", "cluster.create_canary", "cluster.scale", "cluster.set_image",
        "cluster.remove", "cluster.pod_answers", "forge.record_deployment", "history.record",
    }  # fmt: skip
    assert wanted <= set(process.calls)
    assert process.calls.count("history.record") == 5
