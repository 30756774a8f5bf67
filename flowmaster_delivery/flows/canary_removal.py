"""Taking a canary away: its requests, its pods, then itself. Every step is safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from flowmaster_delivery.flows.leasing import Grip, stop_if_overtaken
from flowmaster_delivery.model.errors import DeliveryError, NotFound, Superseded
from flowmaster_delivery.model.rollout import Phase, Progress, Workload
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.policy.rollout import FENCE

CONFLICTS = 5


def take_away(grip: Grip, found: Workload) -> None:
    """Nothing of it is left then. Raise Superseded where somebody else has taken over."""
    silence(grip, found)
    remove(grip, found)


def silence(grip: Grip, found: Workload) -> None:
    """No request reaches it any more, and no pod of it runs."""
    canary = canary_marks.read(found.annotations)
    if canary is None or canary.weighted:
        grip.patiently(lambda: grip.cluster.weigh(grip.service, 0))
    if found.desired:
        with suppress(NotFound):
            rewritten(grip, found, lambda now: _emptied(grip, now))


def remove(grip: Grip, found: Workload) -> None:
    grip.patiently(lambda: grip.cluster.remove(grip.service.canary, found.uid))


def clear_the_way(grip: Grip) -> None:
    """Take away the canary of whoever was overtaken; what keeps it there must not keep us here."""
    try:
        found = grip.patiently(grip.cluster.canaries).get(grip.service.workload_name)
        if found is not None:
            stop_if_overtaken(found, grip.lease)
            take_away(grip, found)
    except DeliveryError as error:
        note = f"a canary of {grip.service.name} may be left, and is taken away later: {error}"
        grip.pace.on_progress(Progress(Phase.WAITING, note))


def rewritten(grip: Grip, found: Workload, write: Callable[[Workload], Workload]) -> Workload:
    """Write to a canary as it is now: its status changes all the time, and is nobody's conflict."""
    now = found
    for _ in range(CONFLICTS):
        try:
            return grip.patiently(lambda: write(now))  # noqa: B023  # called at once
        except Superseded:
            now = grip.patiently(lambda: grip.cluster.workload(grip.service.canary))
            stop_if_overtaken(now, grip.lease)
            if now.uid != found.uid:
                raise
    raise Superseded(f"{now.name} is changed by somebody else all the time")


def _emptied(grip: Grip, now: Workload) -> Workload:
    return grip.cluster.scale(
        grip.service.canary,
        0,
        resource_version=now.resource_version,
        annotations={FENCE: str(grip.lease.token)},
    )
