"""Whether a part is alive, and whether it is ready: each answer is the reasons why not.

Alive: it does its own work, or at least is not stuck in it. Only that ends a process, so nobody
else's outage is ever a reason. Ready: the last turn came to something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from flowmaster_delivery.model.pulse import NEVER, Beat, DaemonBeat, Heart, SensorBeat

LOOK_STUCK = 900.0
"""Seconds after which a look is stuck, at least. Its calls have time limits, and a database that is
away is waited for at several of them: that alone takes minutes and must end nobody."""
LOOKS_MISSED = 10
TICK_STUCK = 600.0
"""Seconds after which the evaluation of a sensor is stuck; Dagster waits for one minute of it."""
LOOP_STUCK = timedelta(minutes=10)
"""After which a loop of the daemon is stuck; each leaves a heartbeat every half minute."""
LOOP_SLOW = timedelta(minutes=2)
TICKS_MISSED = 5
FEWEST = timedelta(minutes=1)
"""No sensor is late before: the daemon looks every five seconds, and a tick takes its time."""
LOOPS, TICKS = "loops", "ticks"
"""Beats of the daemon: that its loops go round, and that its sensors tick."""
SENSORS = ("intake", "ship", "back_to_gitlab")
WATCH_SENSOR = "health_watch"


def expected_sensors(*, watch_apart: bool) -> tuple[str, ...]:
    """The sensors that this installation has."""
    return SENSORS if watch_apart else (*SENSORS, WATCH_SENSOR)


def watch_is_stuck(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons to end the process of a watch."""
    if heart is None:
        return ("no `flowmaster watch` is running here",)
    return tuple(_stuck_turns(heart, now))


def watch_is_not_ready(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons against: a look that saw nothing, or none at all. Standing by is being ready."""
    return watch_is_stuck(heart, now) or _troubles(heart)


def code_is_stuck(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons to end the code server. One that nobody asks is well: the daemon may be away."""
    if heart is None:
        return ()
    return tuple(
        f"sensor {beat.name} has been evaluated for {now - beat.running_since:.0f} s"
        for beat in heart.beats
        if beat.running_since is not None and now - beat.running_since > TICK_STUCK
    )


def daemon_process_is_stuck(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons to end the daemon: what was found by its examination, or that there is none."""
    if heart is None:
        return ("no `flowmaster daemon` is running here",)
    found = (beat.trouble for beat in heart.beats if beat.name == LOOPS and beat.trouble)
    return (*_stuck_turns(heart, now), *found)


def daemon_process_is_not_ready(heart: Heart | None, now: float) -> tuple[str, ...]:
    return daemon_process_is_stuck(heart, now) or _troubles(heart)


def daemon_is_stuck(
    daemons: Iterable[DaemonBeat], reachable_since: datetime, now: datetime
) -> tuple[str, ...]:
    """Reasons to end it. A loop that has left no heartbeat ever may be about to, and so may all
    when the database, where they leave them, is back only just."""
    if now - reachable_since < LOOP_SLOW:
        return ()
    return tuple(
        f"the loop {one.name} has left no heartbeat for {_seconds(now - one.at)}"
        for one in daemons
        if one.at is not None and now - one.at > LOOP_STUCK
    )


def daemon_is_not_ready(
    daemons: Iterable[DaemonBeat],
    sensors: Iterable[SensorBeat],
    expected: Iterable[str],
    now: datetime,
    started: datetime,
) -> tuple[str, ...]:
    """Reasons against. What happened before it was `started` was another daemon's work."""
    loops = (
        f"the loop {one.name} has left no heartbeat"
        for one in daemons
        if not _after(one.at, started) or late(one.at, LOOP_SLOW, now)
    )
    known = {one.name: one for one in sensors}
    missing = (f"sensor {name} has never ticked" for name in expected if name not in known)
    slow = (
        f"sensor {name} has not ticked for {TICKS_MISSED} times its {_seconds(one.every)}"
        for name in expected
        if (one := known.get(name)) is not None and one.running
        if not _after(one.ticked, started) or late(one.ticked, allowed(one), now)
    )
    return (*loops, *missing, *slow)


def allowed(sensor: SensorBeat) -> timedelta:
    """Between two ticks of a sensor that does its work."""
    return max(TICKS_MISSED * sensor.every, FEWEST)


def late(at: datetime | None, within: timedelta, now: datetime) -> bool:
    return at is None or now - at > within


def _after(at: datetime | None, started: datetime) -> bool:
    return at is not None and at >= started


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"


def _stuck_turns(heart: Heart, now: float) -> Iterator[str]:
    for beat in heart.beats:
        limit = _longest(beat)
        if beat.running_since is not None:
            if now - beat.running_since > limit:
                yield f"{beat.name}: a turn has been going on for {now - beat.running_since:.0f} s"
        elif now - max(beat.ended, heart.started) > limit:
            yield f"{beat.name}: no turn for {now - max(beat.ended, heart.started):.0f} s"


def _troubles(heart: Heart | None) -> tuple[str, ...]:
    """Of whatever came to nothing at its last turn, or has not come to anything yet."""
    return tuple(
        f"{beat.name}: {beat.trouble or 'nothing has come to its end yet'}"
        for beat in (heart.beats if heart else ())
        if beat.trouble or beat.succeeded == NEVER
    )


def _longest(beat: Beat) -> float:
    return max(LOOK_STUCK, LOOKS_MISSED * (beat.every or 0.0))
