"""What ends a process and what does not; what makes it ready."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.model.pulse import NEVER, Beat, DaemonBeat, Heart, SensorBeat
from flowmaster_delivery.policy.liveness import (
    code_is_stuck,
    daemon_is_not_ready,
    daemon_is_stuck,
    daemon_process_is_not_ready,
    daemon_process_is_stuck,
    expected_sensors,
    watch_is_not_ready,
    watch_is_stuck,
)

NOW = 10_000.0
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(hours=1)
APART = expected_sensors(watch_apart=True)


def a_heart(*beats: Beat, started: float = NOW - 3_600) -> Heart:
    return Heart("any", started, beats)


def a_look(ago: float = 15.0, trouble: str = "", **more: float) -> Beat:
    succeeded = NOW - ago if not trouble else NOW - 3_000
    given = {"every": 20.0, "ended": NOW - ago, "succeeded": succeeded, **more}
    return Beat("production", trouble=trouble, **given)


def test_a_watch_that_looks_is_alive_and_ready() -> None:
    heart = a_heart(a_look())
    assert watch_is_stuck(heart, NOW) == watch_is_not_ready(heart, NOW) == ()


def test_no_process_at_all_is_neither() -> None:
    assert watch_is_stuck(None, NOW) == ("no `flowmaster watch` is running here",)
    assert watch_is_not_ready(None, NOW) == ("no `flowmaster watch` is running here",)


def test_a_look_that_saw_nothing_is_alive_and_not_ready() -> None:
    heart = a_heart(a_look(trouble="the cluster is away"))
    assert watch_is_stuck(heart, NOW) == ()
    assert watch_is_not_ready(heart, NOW) == ("production: the cluster is away",)


@pytest.mark.parametrize(("seconds", "stuck"), [(899, False), (901, True)])
def test_a_look_that_goes_on_is_stuck_after_its_time(seconds: float, stuck: bool) -> None:
    heart = a_heart(a_look(running_since=NOW - seconds))
    found = watch_is_stuck(heart, NOW)
    assert bool(found) is stuck
    assert not stuck or found == ("production: a turn has been going on for 901 s",)
    assert bool(watch_is_not_ready(heart, NOW)) is stuck


@pytest.mark.parametrize(("ago", "stuck"), [(899, False), (901, True)])
def test_a_loop_that_looks_no_more_is_stuck(ago: float, stuck: bool) -> None:
    assert bool(watch_is_stuck(a_heart(a_look(ago=ago)), NOW)) is stuck


def test_where_looks_are_far_apart_more_time_passes_before_one_is_missed() -> None:
    assert watch_is_stuck(a_heart(a_look(ago=1_100, every=120.0)), NOW) == ()
    assert watch_is_stuck(a_heart(a_look(ago=1_300, every=120.0)), NOW) != ()


def test_a_watch_that_has_just_started_is_alive_and_not_ready() -> None:
    heart = a_heart(Beat("production", 20.0, running_since=NOW - 2), started=NOW - 3)
    assert watch_is_stuck(heart, NOW) == ()
    assert watch_is_not_ready(heart, NOW) == ("production: nothing has come to its end yet",)


def test_one_environment_of_several_is_enough_to_be_stuck() -> None:
    heart = a_heart(a_look(), Beat("dev", 20.0, running_since=NOW - 910))
    assert watch_is_stuck(heart, NOW) == ("dev: a turn has been going on for 910 s",)


@pytest.mark.parametrize(("seconds", "stuck"), [(599, False), (601, True)])
def test_an_evaluation_that_dagster_gave_up_long_ago_is_stuck(seconds: float, stuck: bool) -> None:
    heart = a_heart(Beat("ship", ended=NOW - 1), Beat("intake", running_since=NOW - seconds))
    found = code_is_stuck(heart, NOW)
    assert bool(found) is stuck
    assert not stuck or found == ("sensor intake has been evaluated for 601 s",)


def test_a_code_server_that_nobody_asks_is_well_since_the_daemon_may_be_away() -> None:
    assert code_is_stuck(None, NOW) == ()
    assert code_is_stuck(a_heart(Beat("intake", ended=NOW - 90_000)), NOW) == ()


def test_an_evaluation_that_failed_is_no_reason_to_end_the_code_server() -> None:
    assert code_is_stuck(a_heart(Beat("intake", ended=NOW, trouble="GitLab is away")), NOW) == ()


def loops(ago: float | None = 20.0) -> tuple[DaemonBeat, ...]:
    at = None if ago is None else NOON - timedelta(seconds=ago)
    return (DaemonBeat("SCHEDULER", NOON), DaemonBeat("SENSOR", at))


def ticks(name: str = "intake", ago: float | None = 20.0, **more: bool) -> tuple[SensorBeat, ...]:
    """All sensors tick; the named one so many seconds ago."""
    given = {"running": True, "failing": False, **more}
    half = timedelta(seconds=30)
    late = None if ago is None else NOON - timedelta(seconds=ago)
    others = (SensorBeat(n, True, half, NOON, failing=False) for n in APART if n != name)
    return (*others, SensorBeat(name, every=half, ticked=late, **given))


def not_ready(
    daemons: tuple[DaemonBeat, ...] | None = None, sensors: tuple[SensorBeat, ...] | None = None
) -> tuple[str, ...]:
    return daemon_is_not_ready(daemons or loops(), sensors or ticks(), APART, NOON, LONG_AGO)


@pytest.mark.parametrize(("ago", "stuck"), [(599, False), (601, True), (None, False)])
def test_a_loop_that_beats_no_more_ends_the_daemon(ago: float | None, stuck: bool) -> None:
    found = daemon_is_stuck(loops(ago), LONG_AGO, NOON)
    assert bool(found) is stuck
    assert not stuck or found == ("the loop SENSOR has left no heartbeat for 601 s",)


def test_no_loop_is_stuck_while_the_database_is_back_only_just() -> None:
    """Whoever was away for an hour leaves all heartbeats an hour old."""
    assert daemon_is_stuck(loops(3_600), NOON - timedelta(seconds=119), NOON) == ()
    assert daemon_is_stuck(loops(3_600), NOON - timedelta(seconds=120), NOON) != ()


def an_examination(loops: str = "", ticks: str = "", ago: float = 5.0) -> Heart:
    at = NOW - ago
    return a_heart(
        Beat("loops", 15.0, ended=at, succeeded=at if not loops else NEVER, trouble=loops),
        Beat("ticks", 15.0, ended=at, succeeded=at if not ticks else NEVER, trouble=ticks),
    )


def test_a_daemon_is_alive_and_ready_as_its_examination_found() -> None:
    heart = an_examination()
    assert daemon_process_is_stuck(heart, NOW) == daemon_process_is_not_ready(heart, NOW) == ()


def test_a_loop_that_is_stuck_ends_the_daemon_and_a_sensor_that_is_late_does_not() -> None:
    heart = an_examination(loops="the loop SENSOR …")
    assert daemon_process_is_stuck(heart, NOW) == ("the loop SENSOR …",)
    heart = an_examination(ticks="sensor intake …")
    assert daemon_process_is_stuck(heart, NOW) == ()
    assert daemon_process_is_not_ready(heart, NOW) == ("ticks: sensor intake …",)


def test_a_daemon_that_is_examined_no_more_has_stopped_as_a_whole() -> None:
    assert daemon_process_is_stuck(an_examination(ago=899), NOW) == ()
    assert daemon_process_is_stuck(an_examination(ago=901), NOW) != ()
    assert daemon_process_is_stuck(None, NOW) == ("no `flowmaster daemon` is running here",)


def test_a_first_examination_that_waits_for_its_database_ends_no_daemon() -> None:
    waiting = a_heart(Beat("loops", 15.0, running_since=NOW - 90), started=NOW - 91)
    assert daemon_process_is_stuck(waiting, NOW) == ()
    assert daemon_process_is_not_ready(waiting, NOW) == ("loops: nothing has come to its end yet",)


def test_a_daemon_whose_loops_beat_and_whose_sensors_tick_is_ready() -> None:
    assert not_ready() == ()


@pytest.mark.parametrize("ago", [121, None, 3_601])
def test_a_loop_that_is_slow_or_has_not_begun_is_not_ready(ago: float | None) -> None:
    assert not_ready(loops(ago)) == ("the loop SENSOR has left no heartbeat",)


@pytest.mark.parametrize(("ago", "ready"), [(149, True), (151, False), (None, False)])
def test_a_sensor_that_has_missed_five_ticks_is_not_ready(ago: float | None, ready: bool) -> None:
    found = not_ready(sensors=ticks(ago=ago))
    assert (found == ()) is ready
    assert ready or found == ("sensor intake has not ticked for 5 times its 30 s",)


def test_a_quick_sensor_is_late_after_a_minute_only() -> None:
    quick = tuple(
        SensorBeat(name, True, timedelta(seconds=3), NOON - timedelta(seconds=55), False)
        for name in APART
    )
    assert not_ready(sensors=quick) == ()


def test_a_sensor_that_a_person_stopped_need_not_tick() -> None:
    assert not_ready(sensors=ticks(ago=None, running=False)) == ()


def test_a_sensor_that_fails_at_every_tick_is_late_by_its_last_good_one() -> None:
    assert not_ready(sensors=ticks(ago=400, failing=True)) != ()


def test_a_sensor_that_was_never_seen_is_not_ready() -> None:
    found = not_ready(sensors=ticks()[1:])
    assert found == (f"sensor {ticks()[0].name} has never ticked",)


def test_the_ticks_of_the_daemon_before_are_not_its_own() -> None:
    """An upgrade waits until the new one's sensors tick."""
    started = NOON - timedelta(seconds=5)
    found = daemon_is_not_ready(loops(), ticks(), APART, NOON, started)
    assert found == (
        "the loop SENSOR has left no heartbeat",
        "sensor intake has not ticked for 5 times its 30 s",
    )
    assert daemon_is_not_ready(loops(1), ticks(ago=1), APART, NOON, started) == ()


def test_the_sensor_of_an_installation_without_a_watch_apart_must_tick_too() -> None:
    expected = expected_sensors(watch_apart=False)
    found = daemon_is_not_ready(loops(), ticks(), expected, NOON, LONG_AGO)
    assert found == ("sensor health_watch has never ticked",)
