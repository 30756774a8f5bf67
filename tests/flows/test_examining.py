"""The daemon examined from within: what is found, and what is not known."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.flows import examining
from flowmaster_delivery.flows.examining import Examination
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.pulse import DaemonBeat, SensorBeat
from tests.fakes.fake_heartbeat import FakeHeartbeat
from tests.fakes.fake_pulse import FakePulse

START = datetime(2026, 11, 26, 12, tzinfo=UTC)


@dataclass
class World:
    pulse: FakePulse = field(default_factory=FakePulse)
    heartbeat: FakeHeartbeat = field(default_factory=FakeHeartbeat)
    time: datetime = START

    def __post_init__(self) -> None:
        self.examination = Examination(
            self.pulse, self.heartbeat, ["intake"], START, lambda: self.time
        )

    def works(self) -> None:
        """Loops and sensors have come round just now."""
        self.pulse.daemons_ = [DaemonBeat("SENSOR", self.time)]
        self.pulse.sensors_ = [SensorBeat("intake", True, timedelta(seconds=30), self.time, False)]

    def found(self) -> dict[str, str]:
        """Of one examination, what is wrong with what."""
        self.heartbeat.turns.clear()
        self.examination.turn()
        return {name: turn.trouble for name, turn in self.heartbeat.turns}


@pytest.fixture
def world() -> World:
    return World()


def test_a_daemon_that_works_has_no_trouble(world: World) -> None:
    world.works()
    assert world.found() == {"loops": "", "ticks": ""}


def test_a_daemon_that_has_just_started_is_alive_and_not_ready(world: World) -> None:
    world.pulse.daemons_ = [DaemonBeat("SENSOR", START - timedelta(hours=1))]
    assert world.found() == {
        "loops": "",
        "ticks": "the loop SENSOR has left no heartbeat; sensor intake has never ticked",
    }


def test_a_loop_that_beats_no_more_is_trouble_of_the_loops(world: World) -> None:
    world.works()
    world.found()
    world.time += timedelta(minutes=11)
    assert world.found()["loops"] == "the loop SENSOR has left no heartbeat for 660 s"


def test_a_database_that_is_away_says_nothing_of_the_loops(world: World) -> None:
    world.works()
    world.found()
    world.pulse.fails = Unreachable("the database gives no answer")
    world.time += timedelta(hours=1)
    assert world.found() == {"loops": "", "ticks": "the database gives no answer"}


def test_what_nobody_foresaw_says_nothing_of_the_loops_either(world: World) -> None:
    world.pulse.fails = RuntimeError("?")
    assert world.found() == {"loops": "", "ticks": "?"}


def test_when_the_database_is_back_the_loops_have_time_to_beat(world: World) -> None:
    world.works()
    world.found()
    world.pulse.fails = Unreachable("gone")
    world.time += timedelta(hours=1)
    world.found()
    world.pulse.fails = None
    assert world.found()["loops"] == ""
    world.time += timedelta(minutes=3)
    assert world.found()["loops"] != ""


def test_it_goes_on_until_it_is_told_to_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "EVERY", 0.001)
    stop = threading.Event()
    thread = threading.Thread(target=world.examination.keep, args=[stop])
    thread.start()
    while len(world.heartbeat.turns) < 6:
        stop.wait(0.001)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
