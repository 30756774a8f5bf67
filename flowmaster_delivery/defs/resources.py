"""What the bodies of assets and sensors work with. The one clock of the definitions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dagster import (
    DagsterInstance,
    DagsterRun,
    InitResourceContext,
    ResourceDefinition,
    SensorEvaluationContext,
)

from flowmaster_delivery.defs.submissions import PARTITION, voucher_of
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.audit import Channel
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.policy.asking import ANONYMOUS, Asker, Via
from flowmaster_delivery.ports import Cluster, ClusterOf, Ports
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import heartbeat, history_on, on_trail, open_ports

Opener = Callable[[Settings, Catalog, DagsterInstance], Ports]


def clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the one clock of the definitions


def asker_of(run: DagsterRun, seal_key: str) -> Asker:
    """Who asked for a run, by the coordinator's voucher; nobody where it carries none."""
    found = voucher_of(run, seal_key)
    return found.asker if found else Asker(ANONYMOUS, Via.NOTHING)


def home_of(run: DagsterRun, seal_key: str) -> str | None:
    """The environment that a run was admitted for; what its tags say where nobody vouches."""
    found = voucher_of(run, seal_key)
    return found.environment if found else run.tags.get(PARTITION)


def at_home(cluster_of: ClusterOf, home: str | None) -> ClusterOf:
    """The cluster of one environment; whoever asks for another's is refused."""

    def cluster_at_home(environment: Environment) -> Cluster:
        if environment.name != home:
            raise Permanent(
                f"this run was admitted for {home or 'no environment'} and reaches for the cluster "
                f"of {environment.name}; start a run in {environment.name} instead"
            )
        return cluster_of(environment)

    return cluster_at_home


class Recent:
    """A reading that is never older than `SECONDS`: services that roll out together share it."""

    SECONDS = 5.0

    def __init__(self, catalog: Catalog, ports: Ports) -> None:
        self._catalog, self._ports = catalog, ports
        self._made: tuple[float, Reading] | None = None
        self._guard = threading.Lock()

    def __call__(self) -> Reading:
        with self._guard:
            now = time.monotonic()
            if self._made is None or now - self._made[0] >= self.SECONDS:
                self._made = now, Reading(self._catalog, self._ports)
            return self._made[1]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run's way to the outside: what is read is shared by all its steps."""

    settings: Settings
    catalog: Catalog
    ports: Ports
    reading: Reading
    """What one look at the outside is enough for."""
    recent: Recent
    """What must be read again at the moment of effect."""
    now: Callable[[], datetime]

    def asker(self, run: DagsterRun) -> Asker:
        """Who asked for the run, by the coordinator's seal; nobody where it carries none."""
        return asker_of(run, self.settings.seal_key.read())


class Platform:
    """Settings and catalog of this process; opens the outside at first use, and once."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        opener: Opener = open_ports,
        now: Callable[[], datetime] = clock,
    ) -> None:
        self.settings, self.catalog, self.now = settings, catalog, now
        self.heartbeat = heartbeat(settings, "code")
        self._opener = opener
        self._ports: Ports | None = None
        self._instance: DagsterInstance | None = None
        self._guard = threading.Lock()

    def instance(self, context: SensorEvaluationContext) -> DagsterInstance:
        """The instance of a tick, opened once per process: Dagster would open one per tick."""
        if context.instance_ref is None:  # a context that was made with its instance
            return context.instance
        with self._guard:
            if self._instance is None:
                self._instance = DagsterInstance.from_ref(context.instance_ref)
            return self._instance

    def ports(self, instance: DagsterInstance, channel: Channel = Channel.WATCH) -> Ports:
        """The ports, with the history of this instance; what is recorded is on the audit trail."""
        with self._guard:
            if self._ports is None:
                self._ports = self._opener(self.settings, self.catalog, instance)
                history = self._ports.history
            else:
                history = history_on(instance, self.settings)
            ports = self._ports
        return replace(ports, history=on_trail(history, ports.audit, channel))

    def delivery(self, instance: DagsterInstance, run: DagsterRun | None = None) -> Delivery:
        """A run touches the cluster of its own environment only."""
        ports = self.ports(instance, Channel.RUN)
        if run:
            home = home_of(run, self.settings.seal_key.read())
            ports = replace(ports, cluster=at_home(ports.cluster, home))
        reading, recent = Reading(self.catalog, ports), Recent(self.catalog, ports)
        return Delivery(self.settings, self.catalog, ports, reading, recent, self.now)


def delivery_resource(platform: Platform) -> ResourceDefinition:
    """Resource `delivery`: made once per run, shared by its threads."""

    def make(context: InitResourceContext) -> Delivery:
        if context.instance is None:
            raise ValueError("assets run on a Dagster instance only")
        return platform.delivery(context.instance, context.run)

    return ResourceDefinition(make, description="Catalog, ports and clock of this run.")
