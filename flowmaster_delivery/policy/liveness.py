"""Whether a part is alive, and whether it is ready: each answer is the reasons why not.

Alive: it does its own work, or at least is not stuck in it. Only that ends a process, so nobody
else's outage is ever a reason. Ready: the last turn came to something.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowmaster_delivery.model.pulse import Beat, Heart

LOOK_STUCK = 300.0
"""Seconds after which a look is stuck and not slow, at least: its calls have time limits."""
LOOKS_MISSED = 10
TICK_TIMEOUT = 60.0
"""Seconds after which Dagster waits no longer for the evaluation of a sensor."""
TICK_STUCK = 2 * TICK_TIMEOUT


def watch_is_stuck(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons to end the process of a watch."""
    if heart is None:
        return ("no `flowmaster watch` is running here",)
    return tuple(_stuck_looks(heart, now))


def watch_is_not_ready(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons against: a look that saw nothing, or none at all. Standing by is being ready."""
    stuck = watch_is_stuck(heart, now)
    if stuck or heart is None:
        return stuck
    return tuple(
        f"{beat.name}: {beat.trouble or 'nothing has been looked at yet'}"
        for beat in heart.beats
        if beat.trouble or beat.succeeded < heart.started
    )


def code_is_stuck(heart: Heart | None, now: float) -> tuple[str, ...]:
    """Reasons to end the code server. One that nobody asks is well: the daemon may be away."""
    if heart is None:
        return ()
    return tuple(
        f"sensor {beat.name} has been evaluated for {now - beat.running_since:.0f} s"
        for beat in heart.beats
        if beat.running_since is not None and now - beat.running_since > TICK_STUCK
    )


def _stuck_looks(heart: Heart, now: float) -> Iterator[str]:
    for beat in heart.beats:
        limit = _longest_look(beat)
        if beat.running_since is not None:
            if now - beat.running_since > limit:
                yield f"{beat.name}: a look has been going on for {now - beat.running_since:.0f} s"
        elif now - max(beat.ended, heart.started) > limit:
            yield f"{beat.name}: no look for {now - max(beat.ended, heart.started):.0f} s"


def _longest_look(beat: Beat) -> float:
    return max(LOOK_STUCK, LOOKS_MISSED * (beat.every or 0.0))
