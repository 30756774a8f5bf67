"""The outside world as small Protocols: what the flows ask of it, in our vocabulary.

Every call may raise `model.errors`: Transient where the same call may go through later, Permanent
where not. A failed read raises; it never answers with an empty world.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster_delivery.model.rollout import Lease
from flowmaster_delivery.model.run import LaunchedRun, RunOrder, RunReason
from flowmaster_delivery.ports.audit import AuditTrail
from flowmaster_delivery.ports.cluster import Cluster, ClusterOf
from flowmaster_delivery.ports.forge import Forge, Registry
from flowmaster_delivery.ports.history import History, Record
from flowmaster_delivery.ports.housekeeping import LeasesOf, Leftovers, RunJobs
from flowmaster_delivery.ports.looks import HttpAnswer, HttpCall, Metrics, MetricsOf, Probe
from flowmaster_delivery.ports.people import Launcher, Notifier


@dataclass(frozen=True, slots=True)
class Ports:
    """All of it, as the flows take it."""

    forge: Forge
    registry: Registry
    cluster: ClusterOf
    probe: Probe
    history: History
    notifier: Notifier
    metrics: MetricsOf
    audit: AuditTrail


__all__ = [
    "AuditTrail",
    "Cluster",
    "ClusterOf",
    "Forge",
    "History",
    "HttpAnswer",
    "HttpCall",
    "LaunchedRun",
    "Launcher",
    "Lease",
    "LeasesOf",
    "Leftovers",
    "Metrics",
    "MetricsOf",
    "Notifier",
    "Ports",
    "Probe",
    "Record",
    "Registry",
    "RunJobs",
    "RunOrder",
    "RunReason",
]
