"""Reading the platform's own condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.condition import Condition
from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.promotion import EVERY_SERVICE
from flowmaster_delivery.model.pulse import SensorBeat
from flowmaster_delivery.ports import History
from flowmaster_delivery.ports.pulse import Pulse

RECENT = timedelta(hours=1)
NEWEST = 20
"""Incidents of an environment that are counted: what is open is among them."""
UNSEEN = timedelta(seconds=30)
"""Between two ticks of a sensor that never ticked, for want of its own word."""


def read_condition(
    catalog: Catalog, expected: Iterable[str], pulse: Pulse, history: History, now: datetime
) -> Condition:
    """Raise Unreachable where the database gives no answer. `expected`: names of sensors."""
    known = {one.name: one for one in pulse.sensors()}
    incidents: Counter[tuple[str, IncidentState]] = Counter()
    for name in catalog.environments:
        incidents.update((name, one.state) for one in history.incidents(name, limit=NEWEST))
    holds = [hold for hold in history.holds() if hold.active]
    return Condition(
        daemons=pulse.daemons(),
        sensors=tuple(known.get(name) or _unseen(name) for name in expected),
        active_runs=pulse.active_runs(),
        failed_runs=pulse.failed_runs(now - RECENT),
        incidents=incidents,
        holds=Counter(hold.environment for hold in holds),
        held=frozenset(hold.environment for hold in holds if hold.service == EVERY_SERVICE),
    )


def _unseen(name: str) -> SensorBeat:
    return SensorBeat(name, running=True, every=UNSEEN, ticked=None, failing=False)
