"""How one container fares, as a pure function of what was ordered and the time since it began.

The pictures are those of a real kubelet (reasons, messages, restart counts); the times are shorter:
a sandbox has no images to unpack.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flowmaster_delivery.sandbox.kubernetes.kinds import Object
from flowmaster_delivery.sandbox.kubernetes.resources import timestamp
from flowmaster_delivery.sandbox.orders import PodBehaviour

START = 0.2
"""Seconds from a pod's creation to its process, where the order leaves that much."""

LIFE = 0.3
"""Seconds that a crashing process lives."""

PULL = 0.2
"""Seconds that a failing pull takes."""

LONGEST_BACKOFF = 30.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What a container has before it: its orders, since when, and the image it got (or not)."""

    name: str
    image: str
    digest: str | None
    behaviour: PodBehaviour
    since: datetime
    is_running: bool = False
    """Whether its process ran already when these orders came."""
    ends: bool = False
    """Whether it is to end by itself, as the container of a Job does."""
    restarts: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """A container at one moment, and the moment from which it will look different."""

    state: Object
    ready: bool = False
    started: bool = False
    restarts: int = 0
    last_state: Object | None = None
    until: datetime | None = None
    event: tuple[str, str] | None = None
    """Reason and message of the warning that goes with it."""


def look(fate: Fate, now: datetime, pod: str) -> Look:
    """The container at `now`; `pod` is `name_namespace(uid)`, for messages."""
    outcome = fate.behaviour.outcome
    if outcome == "image_pull" or fate.digest is None:
        return _pulling(fate, now)
    start = _start(fate)
    if now < start:
        return _waiting("ContainerCreating", "", until=start)
    if outcome == "config_error":
        words = fate.behaviour.words
        return _waiting("CreateContainerConfigError", words, event=("Failed", f"Error: {words}"))
    if outcome in ("crash", "oom"):
        return _crashing(fate, now, start, pod)
    if fate.ends:
        return _ending(fate, now, start)
    if outcome == "never_ready":
        return Look(_running(start), started=True, event=("Unhealthy", fate.behaviour.words))
    ready_at = start if fate.is_running else _after(fate.since, fate.behaviour.ready_after)
    if now < ready_at:
        return Look(_running(start), started=True, until=ready_at)
    return Look(_running(start), ready=True, started=True)


def backoff(restarts: int) -> float:
    """Seconds until the next start: 0.5, 1, 2, 4 … 30."""
    return min(LONGEST_BACKOFF, 0.5 * 2.0 ** min(restarts, 10))


def _start(fate: Fate) -> datetime:
    if fate.is_running:
        return fate.since
    return _after(fate.since, min(START, fate.behaviour.ready_after / 2))


def _after(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


def _running(since: datetime) -> Object:
    return {"running": {"startedAt": timestamp(since)}}


def _waiting(
    reason: str,
    message: str,
    *,
    until: datetime | None = None,
    event: tuple[str, str] | None = None,
) -> Look:
    waiting = {"reason": reason, **({"message": message} if message else {})}
    return Look({"waiting": waiting}, until=until, event=event)


def _pulling(fate: Fate, now: datetime) -> Look:
    """Tries again and again; between two tries the container is in ImagePullBackOff."""
    words = fate.behaviour.words
    if fate.behaviour.outcome != "image_pull":
        words = (
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{fate.image}": '
            f'failed to resolve reference "{fate.image}": {fate.image}: not found'
        )
    attempt, begin = 0, fate.since
    while _after(begin, PULL + backoff(attempt)) <= now:
        begin = _after(begin, PULL + backoff(attempt))
        attempt += 1
    tried = _after(begin, PULL)
    if now < tried and attempt == 0:
        return _waiting("ContainerCreating", "", until=tried)
    again = _after(begin, PULL + backoff(attempt))
    if now < min(tried + (again - tried) / 2, _after(tried, 1.0)):
        failed = f'Failed to pull image "{fate.image}": {words}'
        until = min(tried + (again - tried) / 2, _after(tried, 1.0))
        return _waiting("ErrImagePull", words, until=until, event=("Failed", failed))
    back_off = f'Back-off pulling image "{fate.image}"'
    return _waiting(
        "ImagePullBackOff",
        f"{back_off}: ErrImagePull: {words}",
        until=again,
        event=("BackOff", back_off),
    )


def _crashing(fate: Fate, now: datetime, start: datetime, pod: str) -> Look:
    restarts, begin, last = 0, start, None
    while True:
        died = _after(begin, LIFE)
        if now < died:
            return Look(
                _running(begin), started=True, restarts=restarts, last_state=last, until=died
            )
        last = _terminated(fate, begin, died)
        if not fate.restarts:
            return Look(last)
        wait = backoff(restarts)
        again = _after(died, wait)
        if now < again:
            words = f"back-off {wait:g}s restarting failed container={fate.name} pod={pod}"
            return Look(
                {"waiting": {"reason": "CrashLoopBackOff", "message": words}},
                restarts=restarts,
                last_state=last,
                until=again,
                event=("BackOff", f"Back-off restarting failed container {fate.name} in pod {pod}"),
            )
        restarts, begin = restarts + 1, again


def _terminated(fate: Fate, begin: datetime, end: datetime) -> Object:
    out_of_memory = fate.behaviour.outcome == "oom"
    state = {
        "exitCode": 137 if out_of_memory else 1,
        "reason": "OOMKilled" if out_of_memory else "Error",
        "startedAt": timestamp(begin),
        "finishedAt": timestamp(end),
    }
    if not out_of_memory:
        state["message"] = fate.behaviour.words
    return {"terminated": state}


def _ending(fate: Fate, now: datetime, start: datetime) -> Look:
    if fate.behaviour.outcome == "never_ready":
        return Look(_running(start), started=True)
    end = max(start, _after(fate.since, fate.behaviour.ready_after))
    if now < end:
        return Look(_running(start), ready=True, started=True, until=end)
    done = {
        "exitCode": 0,
        "reason": "Completed",
        "startedAt": timestamp(start),
        "finishedAt": timestamp(end),
    }
    return Look({"terminated": done})
