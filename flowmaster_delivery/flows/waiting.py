"""The wait for the end of a change, level-triggered: decided on what was just read, each time."""

from __future__ import annotations

from flowmaster_delivery.flows.goal import Done, Goal, Pace
from flowmaster_delivery.flows.leasing import LEASE_SECONDS, PAUSE_SECONDS
from flowmaster_delivery.model.errors import Denied, Superseded, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    Phase,
    Progress,
    Workload,
)
from flowmaster_delivery.policy.pod_problems import GRACE
from flowmaster_delivery.policy.rollout import digest_in, may_mend_itself, progress
from flowmaster_delivery.ports import Cluster, Lease

LOOK_SECONDS = 2.0
"""The longest time between two looks, whatever the watch tells."""


class Grace:
    """How long what may mend itself has not done so."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._ill_since: float | None = None

    @property
    def spent(self) -> bool:
        since = self._ill_since
        return since is not None and self._pace.monotonic() - since >= GRACE.total_seconds()

    def measure(self, seen: Workload, found: Progress) -> None:
        if not may_mend_itself(seen, found):
            self._ill_since = None
        elif self._ill_since is None:
            self._ill_since = self._pace.monotonic()


class Wait:
    """One wait: `before` was read before the patch, `patched` is the patch's answer."""

    def __init__(
        self,
        goal: Goal,
        cluster: Cluster,
        pace: Pace,
        before: Workload,
        patched: Workload,
        lease: Lease,
    ) -> None:
        self._goal, self._cluster, self._pace = goal, cluster, pace
        self._before, self._patched, self._lease = before, patched, lease
        self._last = Progress(Phase.WAITING, f"{patched.name}: patched")
        self._seen = patched
        self._blind = ""
        self._grace = Grace(pace)
        self._renewed = pace.monotonic()

    def run(self) -> Done:
        end = self._pace.monotonic() + self._goal.seconds
        while True:
            ended = self._look()
            if ended is not None:
                return ended
            left = end - self._pace.monotonic()
            if left <= 0:
                return self._timed_out()
            if self._pace.cancelled():
                said = (
                    f"canceled while waiting; the cluster goes on by itself. {self._last.message}"
                )
                return self._done(Outcome.INCONCLUSIVE, said)
            self._rest(min(left, LOOK_SECONDS))

    def _look(self) -> Done | None:
        """Read and decide; None while it goes on, or while nothing can be read."""
        try:
            self._renew()
            self._seen = self._cluster.workload(self._goal.service)
            pods = self._cluster.pods(self._goal.service)
        except (Transient, Denied) as error:  # a credential that has expired says nothing of pods
            self._blind = str(error)
            self._tell(Progress(Phase.WAITING, f"the cluster cannot be asked: {error}"))
            return None
        except Superseded as error:
            return self._done(Outcome.INCONCLUSIVE, str(error))
        self._blind = ""
        found = progress(
            self._seen,
            pods,
            before=self._before,
            patched=self._patched,
            container=self._goal.service.container_name,
            token=self._lease.token,
            grace_spent=self._grace.spent,
        )
        self._grace.measure(self._seen, found)
        self._tell(found)
        return self._ended(found)

    def _ended(self, found: Progress) -> Done | None:
        match found.phase:
            case Phase.COMPLETE:
                return self._done(Outcome.SUCCESS, found.message)
            case Phase.FAILED:
                return self._done(Outcome.FAILURE, found.message)
            case Phase.SUPERSEDED:
                return self._done(Outcome.INCONCLUSIVE, found.message)
            case Phase.WAITING | Phase.ENDING:
                return None

    def _timed_out(self) -> Done:
        """A node that is slow to end old pods says nothing against an image that all of it runs."""
        if self._blind:
            said = f"the cluster has given no answer at the end of the time: {self._blind}"
            return self._done(Outcome.ERROR, said)
        if self._last.phase is Phase.ENDING:
            said = (
                f"{self._seen.name}: {self._seen.desired} of {self._seen.desired} replicas run it"
            )
            late = f"{self._last.message} after {self._goal.seconds:.0f} s"
            return self._done(Outcome.SUCCESS, f"{said}; {late}")
        said = f"not complete after {self._goal.seconds:.0f} s. {self._last.message}"
        return self._done(Outcome.FAILURE, said)

    def _rest(self, seconds: float) -> None:
        if self._blind:
            self._pace.sleep(min(seconds, PAUSE_SECONDS))
            return
        self._cluster.wait_for_change(self._goal.service, self._seen.resource_version, seconds)

    def _renew(self) -> None:
        if self._pace.monotonic() - self._renewed >= LEASE_SECONDS / 3:
            self._cluster.renew(self._lease, LEASE_SECONDS)
            self._renewed = self._pace.monotonic()

    def _tell(self, found: Progress) -> None:
        if found != self._last:
            self._last = found
            self._pace.on_progress(found)

    def _done(self, outcome: Outcome, message: str) -> Done:
        container = self._goal.service.container_name
        return Done(
            outcome,
            message,
            previous_digest=digest_in(self._before.images.get(container, "")),
            revision=self._seen.revision,
            token=self._lease.token,
            problems=self._last.problems,
        )
