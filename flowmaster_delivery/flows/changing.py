"""Bringing one Deployment to one image: lease, one patch, and the wait for its end.

Rollouts and rollbacks share it. Every write carries the resource version that it was planned on and
a fencing token, so whoever was overtaken stops at its next write. Nothing is remembered between two
steps but what stands on the cluster: a process that is killed anywhere is continued by the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flowmaster_delivery.flows.canary_removal import clear_the_way
from flowmaster_delivery.flows.goal import Done, Goal, Pace, StillAdmitted, always
from flowmaster_delivery.flows.leasing import (
    PAUSE_SECONDS,
    Grip,
    held,
    patiently,
    stop_if_overtaken,
)
from flowmaster_delivery.flows.waiting import Wait
from flowmaster_delivery.model.errors import NotFound, Superseded, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    Phase,
    Progress,
    Workload,
)
from flowmaster_delivery.policy.rollout import (
    FENCE,
    digest_in,
    is_complete,
    may_go_ahead,
    other_writers,
    runs,
)
from flowmaster_delivery.ports import Cluster, Lease

T = TypeVar("T")

CONFLICTS = 5


def bring(
    goal: Goal,
    cluster: Cluster,
    holder: str,
    pace: Pace,
    still_admitted: StillAdmitted = always,
) -> Done:
    """Bring a Deployment to an image and wait until all of it runs it.

    What goes wrong on the cluster comes back as an outcome. Raise Refused where another run holds
    the lease, and what the cluster raises as long as nothing was written. Whoever takes over
    (`goal.preempt`) takes a canary of the service away first. `still_admitted` is asked once the
    lease is held: a rollback may have come between the gate and this moment.
    """
    change = _Change(goal, cluster, pace, still_admitted)
    there = None if goal.preempt else change.already_there()
    if there is not None:
        return there
    with held(goal.service, cluster, holder, pace, goal.preempt) as lease:
        if goal.preempt:
            clear_the_way(Grip(goal.service, cluster, lease, pace, PAUSE_SECONDS))
        return change.under(lease)


def bring_under(
    lease: Lease,
    goal: Goal,
    cluster: Cluster,
    pace: Pace,
    still_admitted: StillAdmitted = always,
) -> Done:
    """The same with a lease that is held already, and stays so."""
    return _Change(goal, cluster, pace, still_admitted).under(lease)


class _Change:
    def __init__(
        self, goal: Goal, cluster: Cluster, pace: Pace, still_admitted: StillAdmitted
    ) -> None:
        self._goal, self._cluster, self._pace = goal, cluster, pace
        self._still_admitted = still_admitted
        self._service = goal.service
        self._container = goal.service.container_name

    def already_there(self) -> Done | None:
        before = self._patiently(lambda: self._cluster.workload(self._service))
        return self._unchanged(before, None) if self._is_there(before) else None

    def under(self, lease: Lease) -> Done:
        try:
            return self._with_lease(lease)
        except Superseded as error:
            return Done(Outcome.INCONCLUSIVE, str(error), token=lease.token)

    def _with_lease(self, lease: Lease) -> Done:
        before = self._patiently(lambda: self._cluster.workload(self._service))
        stop_if_overtaken(before, lease)
        closed = self._closed(before)
        if closed:
            said = f"{before.name} was not touched, its gate has closed: {closed}"
            return Done(Outcome.INCONCLUSIVE, said, token=lease.token, changed=False)
        for writer in other_writers(before):
            note = f"{writer} also writes the image of {before.name} and may undo this"
            self._pace.on_progress(Progress(Phase.WAITING, note))
        try:
            patched = self._write(before, lease)
        except Transient as error:
            return Done(
                Outcome.ERROR,
                f"{self._service.name} may or may not have been changed: {error}; run it again",
                token=lease.token,
            )
        if self._is_there(patched):
            return self._unchanged(patched, lease.token)
        try:
            return Wait(self._goal, self._cluster, self._pace, before, patched, lease).run()
        except NotFound as error:
            said = f"{before.name} was deleted meanwhile, and stays so: {error}"
            return Done(Outcome.INCONCLUSIVE, said, token=lease.token)

    def _closed(self, before: Workload) -> str:
        """What is asked for on the cluster already was let in before."""
        asked_for = runs(before, self._container, self._goal.reference)
        return "" if asked_for else self._still_admitted()

    def _write(self, before: Workload, lease: Lease) -> Workload:
        """The one patch; where the image is asked for already (an earlier run was killed), only
        the token is stamped. What changed under us is looked at before it is tried again."""
        planned_on, now = before, before
        for _ in range(CONFLICTS):
            try:
                return self._patiently(lambda: self._patch(now, lease))  # noqa: B023  # called at once
            except Superseded:
                now = self._patiently(lambda: self._cluster.workload(self._service))
                if runs(now, self._container, self._goal.reference):
                    stop_if_overtaken(now, lease)
                elif not may_go_ahead(planned_on, now, lease.token):
                    raise
        raise Superseded(f"{now.name} is changed by somebody else all the time; nothing was done")

    def _patch(self, now: Workload, lease: Lease) -> Workload:
        annotations = {**self._goal.annotations, FENCE: str(lease.token)}
        if runs(now, self._container, self._goal.reference):
            return self._cluster.annotate(
                self._service,
                resource_version=now.resource_version,
                annotations={FENCE: str(lease.token)},
            )
        return self._cluster.set_image(
            self._service,
            self._goal.reference,
            resource_version=now.resource_version,
            annotations=annotations,
        )

    def _is_there(self, workload: Workload) -> bool:
        return runs(workload, self._container, self._goal.reference) and is_complete(workload)

    def _unchanged(self, workload: Workload, token: int | None) -> Done:
        return Done(
            Outcome.SUCCESS,
            f"{workload.name} runs this image already; nothing was touched",
            previous_digest=digest_in(workload.images.get(self._container, "")),
            revision=workload.revision,
            token=token,
            changed=False,
        )

    def _patiently(self, call: Callable[[], T]) -> T:
        return patiently(call, self._pace, self._goal.seconds)
