"""The platform's own condition at a moment: what its metrics tell, and alerts stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowmaster_delivery.model.incident import IncidentState
from flowmaster_delivery.model.pulse import DaemonBeat, RunSeen, SensorBeat


@dataclass(frozen=True, slots=True)
class Condition:
    """Read in one go from the database; nothing of it costs a call to GitLab or to a cluster."""

    daemons: tuple[DaemonBeat, ...]
    sensors: tuple[SensorBeat, ...]
    """Those that this installation has, and no others; one that never ticked is among them."""
    active_runs: tuple[RunSeen, ...]
    failed_runs: tuple[RunSeen, ...]
    """Of the last hour."""
    incidents: Mapping[tuple[str, IncidentState], int]
    """How many of the newest of each environment are in each state."""
    holds: Mapping[str, int]
    """Environment to its active holds."""
    held: frozenset[str]
    """Environments that are held as a whole: nothing in them acts by itself."""
