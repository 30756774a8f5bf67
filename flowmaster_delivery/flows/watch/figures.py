"""The figures of all services of an environment in one look, judged by what the watch may do.

The number of queries does not grow with the services: those that have run for a whole window are
asked for together, the few that came since each for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flowmaster_delivery.flows.measuring import judgements, measure_fleet
from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.rollout import Pod
from flowmaster_delivery.policy.analysis import judge
from flowmaster_delivery.policy.watching import Resident, measured_limits
from flowmaster_delivery.ports import Ports

YOUNG_AT_ONCE = 20
"""Services that came in since the window began, and are asked for each for itself in one look."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One figure of one service, and which trigger it is a matter of."""

    service: str
    trigger: Trigger
    judgement: Judgement


def judge_all(
    environment: Environment,
    catalog: Catalog,
    residents: Mapping[str, Resident],
    pods: Mapping[str, tuple[Pod, ...]],
    ports: Ports,
    now: datetime,
) -> tuple[Judged, ...]:
    """Every figure that a trigger of these services names."""
    look = _Look(environment, catalog, residents, pods, ports, now)
    found: list[Judged] = []
    for name in residents:
        rule = environment.safeguards_of(catalog.services[name]).rollback
        for trigger, limit in measured_limits(rule):
            judged = look.judged(name, limit)
            if judged is not None:
                found.append(Judged(name, trigger, judged))
    return tuple(found)


@dataclass(slots=True)
class _Look:
    environment: Environment
    catalog: Catalog
    residents: Mapping[str, Resident]
    pods: Mapping[str, tuple[Pod, ...]]
    ports: Ports
    now: datetime
    measured: dict[tuple[Figure, timedelta], Mapping[str, Measurement]] = field(
        default_factory=dict
    )
    young: set[str] = field(default_factory=set)

    def judged(self, name: str, limit: Limit) -> Judgement | None:
        """None where there were too many young ones: their turn comes, for they grow old."""
        resident = self.residents[name]
        if resident.since + limit.window <= self.now:
            base = resident.baseline.get(limit.figure) if limit.times_baseline else None
            return judge(self._fleet(limit)[name], limit, base)
        if name not in self.young and len(self.young) >= YOUNG_AT_ONCE:
            return None
        self.young.add(name)
        (judged,) = judgements(
            (limit,),
            self.catalog.services[name],
            self.environment,
            self.pods.get(name, ()),
            self.ports,
            self.now,
            recorded=resident.baseline,
            window_from=resident.since,
        )
        return judged

    def _fleet(self, limit: Limit) -> Mapping[str, Measurement]:
        """One figure over one window of everything that runs, asked for once."""
        key = (limit.figure, limit.window)
        if key not in self.measured:
            known = {name: self.pods.get(name, ()) for name in self.residents}
            self.measured[key] = measure_fleet(
                self.environment, known, limit.figure, limit.window, self.ports, self.now
            )
        return self.measured[key]
