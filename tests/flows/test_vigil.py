"""The vigil: looks in its own pace, whatever fails; of two processes one looks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from flowmaster_delivery.flows.watch import vigil
from flowmaster_delivery.flows.watch.vigil import RENEW_EVERY, Looked, Vigil
from flowmaster_delivery.flows.watch.watch import Watch
from flowmaster_delivery.model.errors import Denied, Unreachable
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.rollout import watch_lease
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_heartbeat import FakeHeartbeat
from tests.flows.watch_world import NAMES, World

EVERY = 20
"""Seconds between two looks."""


@dataclass
class Process:
    """One watch process of the world, told to take turns by the test."""

    world: World
    name: str
    turns: list[Looked] = field(default_factory=list)
    heartbeat: FakeHeartbeat = field(default_factory=FakeHeartbeat)
    ports: Ports | None = None

    def __post_init__(self) -> None:
        time = self.world.cluster.time
        self.vigil = Vigil(
            self.world.environment,
            self.ports or self.world.ports,
            self.name,
            time.now,
            time.monotonic,
            self.world.a_watch,
            self.heartbeat,
            self.turns.append,
        )

    @property
    def looks(self) -> list[Looked]:
        return [turn for turn in self.turns if turn.looking]

    def stop(self) -> None:
        stopped = threading.Event()
        stopped.set()
        self.vigil.keep(stopped)


def passes(world: World, seconds: float, *processes: Process) -> None:
    for _ in range(round(seconds)):
        world.cluster.time.sleep(1)
        for process in processes:
            process.vigil.turn()


@pytest.fixture
def world() -> World:
    return World()


def test_it_looks_at_the_environments_own_pace(world: World) -> None:
    only = Process(world, "one")
    passes(world, 10 * EVERY, only)
    assert len(only.looks) == len(only.heartbeat.turns) == 10
    assert only.heartbeat.every == EVERY
    assert only.looks[-1].states == dict.fromkeys(NAMES, HealthState.HEALTHY)
    assert {look.trouble for look in only.looks} == {""}


def test_a_cluster_that_is_away_is_trouble_of_the_look_and_not_its_end(world: World) -> None:
    only = Process(world, "one")
    world.cluster.failing["workloads"] = [Unreachable("gone")] * 2
    passes(world, 3 * EVERY, only)
    assert ["gone" in look.trouble for look in only.looks] == [True, True, False]
    assert ["gone" in turn.trouble for _, turn in only.heartbeat.turns] == [True, True, False]


def test_a_history_that_is_away_is_trouble_of_the_look_and_asked_again_at_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = Process(world, "one")

    def away(*_: object, **__: object) -> None:
        raise Unreachable("the database gives no answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.history, "observations", away)
        passes(world, 2 * EVERY, only)
    passes(world, EVERY, only)
    assert ["the database" in look.trouble for look in only.looks] == [True, True, False]


def test_what_nobody_foresaw_is_trouble_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    only = Process(world, "one")
    with monkeypatch.context() as patched:
        patched.setattr(Watch, "look", lambda *_: 1 / 0)
        passes(world, EVERY, only)
    passes(world, EVERY, only)
    assert [look.trouble for look in only.looks] == ["ZeroDivisionError: division by zero", ""]


def test_whoever_listens_and_fails_keeps_no_look_from_being_made(world: World) -> None:
    only = Process(world, "one")

    def fails(looked: Looked) -> None:
        only.turns.append(looked)
        raise OSError("no space left")

    only.vigil.told = fails
    passes(world, 3 * EVERY, only)
    assert len(only.looks) == 3


def test_of_two_processes_one_looks_and_the_other_stands_by(world: World) -> None:
    first, second = Process(world, "one"), Process(world, "two")
    world.breaks("api")
    passes(world, 5 * EVERY, first, second)
    assert (len(first.looks), len(second.looks)) == (5, 0)
    assert [turn.looking for turn in second.turns[-2:]] == [False, False]
    assert {turn.trouble for _, turn in second.heartbeat.turns} == {""}
    assert len(world.incidents) == len(world.spawned) == 1
    assert world.told() == ["incident_opened"]


def test_when_the_first_ends_the_second_looks_at_once(world: World) -> None:
    first, second = Process(world, "one"), Process(world, "two")
    passes(world, EVERY, first, second)
    first.stop()
    passes(world, 3, second)
    assert len(second.looks) == 1


def test_when_the_first_is_killed_the_second_looks_once_its_lease_has_expired(
    world: World,
) -> None:
    first, second = Process(world, "one"), Process(world, "two")
    passes(world, EVERY, first, second)
    passes(world, 15, second)
    assert second.looks == []
    passes(world, 10, second)
    assert len(second.looks) >= 1


def test_whoever_was_too_slow_stands_by_and_what_it_remembers_is_forgotten(world: World) -> None:
    first, second = Process(world, "one"), Process(world, "two")
    passes(world, EVERY, first, second)
    world.breaks("api")
    passes(world, 2 * EVERY, second)
    taken = len(first.looks)
    passes(world, RENEW_EVERY + 3 * EVERY, first, second)
    assert len(first.looks) == taken
    assert [incident.state for incident in world.incidents] == [IncidentState.ROLLING_BACK]
    second.stop()
    passes(world, 2 * EVERY, first)
    assert len(first.looks) > taken
    assert len(world.incidents) == 1


def test_a_rolling_update_in_the_middle_of_a_rollback_ends_in_one_rollback(world: World) -> None:
    old = Process(world, "old")
    world.breaks("api")
    passes(world, 3 * EVERY, old)
    world.spawned.clear()  # the old process ends before its thread has done anything
    new = Process(world, "new")
    old.stop()
    passes(world, 6 * EVERY, new)
    world.act()
    (incident,) = world.incidents
    assert incident.state is IncidentState.ROLLED_BACK
    assert world.cluster.calls.count("set_image") == 1


@pytest.mark.parametrize("error", [Denied("no right to leases"), Unreachable("gone"), OSError("?")])
def test_without_an_answer_about_the_lease_it_looks_all_the_same(
    world: World, error: Exception
) -> None:
    only = Process(world, "one")
    world.cluster.failing["acquire"] = [error] * 99  # type: ignore[list-item]
    passes(world, 3 * EVERY, only)
    assert len(only.looks) == 3


def test_whoever_stands_by_does_not_look_for_one_question_without_an_answer(world: World) -> None:
    first, second = Process(world, "one"), Process(world, "two")
    passes(world, EVERY, first, second)
    world.cluster.failing["acquire"] = [Unreachable("gone")] * 3
    passes(world, EVERY, first, second)
    assert second.looks == []


def test_a_lease_that_somebody_deleted_is_taken_anew(world: World) -> None:
    only = Process(world, "one")
    passes(world, EVERY, only)
    del world.cluster.leases[watch_lease("production")]
    passes(world, EVERY, only)
    assert world.cluster.leases[watch_lease("production")].holder == "one"
    assert len(only.looks) == 2


def test_two_that_look_at_once_roll_back_once(world: World) -> None:
    """Where neither can hold the lease of the watch, what keeps them apart is the record, and the
    lease of the service."""
    world.cluster.failing["acquire"] = [Denied("no")] * 40
    first, second = Process(world, "one"), Process(world, "two")
    world.breaks("api")
    passes(world, 3 * EVERY, first, second)
    world.cluster.failing.clear()
    assert (len(first.looks), len(second.looks)) == (3, 3)
    world.act()
    (incident,) = world.incidents
    assert incident.state is IncidentState.ROLLED_BACK
    assert world.cluster.calls.count("set_image") == 1
    assert len(world.history.holds()) == 1


def test_it_keeps_on_until_it_is_told_to_stop_and_gives_its_lease_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vigil, "TICK", 0.001)
    only, stop = Process(world, "one"), threading.Event()
    thread = threading.Thread(target=only.vigil.keep, args=[stop])
    thread.start()
    while not only.looks:
        stop.wait(0.001)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert world.cluster.leases[watch_lease("production")].holder == ""
