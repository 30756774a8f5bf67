"""What a canary is about: the goal, the rule, who is asked, and what the cluster knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from flowmaster_delivery.flows.canary_removal import rewritten
from flowmaster_delivery.flows.goal import Goal, Pace, StillAdmitted, always
from flowmaster_delivery.flows.leasing import Grip
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import Canary, CanaryRule, CanaryStep
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.rollout import DeploymentRecord, Pod, Workload
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.ports import Cluster, Ports

MOST_JUDGEMENTS = 60
"""That a record keeps: the last ones, with those that decided."""

Judge = Callable[[tuple[Pod, ...], tuple[Pod, ...], datetime], tuple[Judgement, ...]]
"""Judges the first pods beside the second ones, over windows that begin at the moment or later."""


@dataclass(frozen=True, slots=True)
class Trial:
    draft: DeploymentRecord
    goal: Goal
    rule: CanaryRule
    environment: Environment
    ports: Ports
    cluster: Cluster
    pace: Pace
    judge: Judge
    still_admitted: StillAdmitted = always


@dataclass(frozen=True, slots=True)
class Steady:
    """A clock that a jump of the machine's own cannot move: pauses neither shrink nor grow."""

    pace: Pace
    began: datetime
    began_monotonic: float

    @classmethod
    def of(cls, pace: Pace) -> Steady:
        return cls(pace, pace.now(), pace.monotonic())

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.pace.monotonic() - self.began_monotonic)


@dataclass(slots=True)
class Standing:
    """The canary as it was read or written last. All that must outlive us is in `canary`."""

    trial: Trial
    grip: Grip
    found: Workload
    canary: Canary
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def step(self) -> CanaryStep:
        return self.trial.rule.steps[self.canary.step]

    def mark(self, **changes: object) -> None:
        """Write what changed about the canary; what stands there already is not written again."""
        after = self._with(changes)
        if after != self.canary:
            self._write(after, self.grip.cluster.annotate)

    def scale(self, pods: int, **changes: object) -> None:
        self._write(self._with(changes), partial(self.grip.cluster.scale, replicas=pods))

    def _with(self, changes: Mapping[str, object]) -> Canary:
        return replace(self.canary, token=self.grip.lease.token, **changes)  # type: ignore[arg-type]

    def _write(self, after: Canary, call: Callable[..., Workload]) -> None:
        """`call` writes annotations, by a resource version, to the canary's Deployment."""
        service, annotations = self.grip.service.canary, canary_marks.marks(after)
        self.found = rewritten(
            self.grip,
            self.found,
            lambda now: call(
                service, resource_version=now.resource_version, annotations=annotations
            ),
        )
        self.canary = after

    def remember(self, judgements: tuple[Judgement, ...]) -> None:
        """Keep what says something new."""
        said = {(one.limit, one.words) for one in self.judgements[-2 * len(judgements) :]}
        self.judgements += [one for one in judgements if (one.limit, one.words) not in said]
        del self.judgements[:-MOST_JUDGEMENTS]
