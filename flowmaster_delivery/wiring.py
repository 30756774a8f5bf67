"""The one place that constructs adapters: settings and catalog in, ports out.

Used by `defs`, `web` and `cli`. Opening makes no call to anywhere; secrets are read at use.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from dagster import DagsterInstance, EventLogEntry, TextMetadataValue
from sqlalchemy import Engine

from flowmaster_delivery.adapters.dagster_history import (
    RECORD_KEY,
    DagsterHistory,
    R,
    read_record,
    sealed_metadata,
)
from flowmaster_delivery.flows.auditing import audited, by_the_platform
from flowmaster_delivery.model.audit import Channel, Whence
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.errors import NotConfigured, Permanent
from flowmaster_delivery.ports import (
    AuditTrail,
    Cluster,
    ClusterOf,
    Forge,
    History,
    LeasesOf,
    Leftovers,
    Metrics,
    MetricsOf,
    Notifier,
    Ports,
    Record,
    RunJobs,
)
from flowmaster_delivery.ports.checkup import Doors, StorageDoor
from flowmaster_delivery.ports.pulse import Heartbeat, Pulse
from flowmaster_delivery.settings import DEFAULT_DAGSTER_URL, Settings, secret_files, smoke_secret

if TYPE_CHECKING:
    from flowmaster_delivery.adapters.oci_registry import OciRegistry


def open_catalog(settings: Settings) -> Catalog:
    """The catalog of this installation. Raise CatalogFault with every fault of its files."""
    from flowmaster_delivery.adapters.yaml_catalog import load_catalog

    return load_catalog(settings.catalog, settings.overlay)


def open_instance() -> DagsterInstance:
    """The instance that DAGSTER_HOME names; close it, or use it as a context."""
    return DagsterInstance.get()


def open_ports(
    settings: Settings,
    catalog: Catalog,
    instance: DagsterInstance,
    channel: Channel = Channel.WATCH,
) -> Ports:
    """The outside world as this installation is set up. What is recorded goes on the audit trail as
    done by the platform itself, in a process of this kind."""
    from flowmaster_delivery.adapters.http_probe import HttpProbe

    trail = audit_on(instance, settings)
    return Ports(
        forge=open_forge(settings, catalog),
        registry=_registry(settings, catalog),
        cluster=clusters(settings, catalog),
        probe=HttpProbe(),
        history=on_trail(history_on(instance, settings), trail, channel),
        notifier=notifier(settings),
        metrics=metrics(settings),
        audit=trail,
    )


@contextmanager
def open_doors(settings: Settings, catalog: Catalog) -> Iterator[Doors]:
    """What a checkup looks at. Nothing is asked before somebody asks it."""
    from flowmaster_delivery.adapters.dagster_checkup import DagsterWebserver
    from flowmaster_delivery.adapters.gitlab import GitLabForge
    from flowmaster_delivery.adapters.kubernetes import KubernetesClusters

    with ExitStack() as stack:
        opened = KubernetesClusters(settings.kubeconfig, catalog.services.values())
        forge = GitLabForge(catalog.forge_url, settings.gitlab_token.read)
        registry, dagster = _registry(settings, catalog), DagsterWebserver(settings.dagster_url)
        for door in (opened, forge, registry, dagster):
            stack.callback(door.close)
        yield Doors(
            secrets=secret_files(settings),
            smoke_secret=partial(smoke_secret, settings),
            seal_key=settings.seal_key.read,
            forge=forge,
            registry=registry,
            registry_user=settings.registry_user,
            cluster=opened,
            cluster_door=opened.inspector,
            inside=settings.kubeconfig is None,
            metrics=metrics(settings, stack),
            dagster=dagster,
            dagster_named=settings.dagster_url != DEFAULT_DAGSTER_URL,
            storage=partial(open_storage, settings, Lock()),
        )


@contextmanager
def open_storage(settings: Settings, opening: Lock) -> Iterator[StorageDoor]:
    """Dagster's storage as its instance names it. Raise NotConfigured where there is no instance:
    opening one would make one. Two that make its tables at once would break each other."""
    from flowmaster_delivery.adapters.dagster_checkup import InstanceStorage, storage_errors

    if not (settings.home / "dagster.yaml").is_file():
        raise NotConfigured(f"there is no dagster.yaml in {settings.home}; set DAGSTER_HOME")
    with storage_errors(), ExitStack() as stack:
        with opening:
            instance = stack.enter_context(DagsterInstance.from_config(str(settings.home)))
        yield InstanceStorage(instance, audit_on(instance, settings))


def _registry(settings: Settings, catalog: Catalog) -> OciRegistry:
    from flowmaster_delivery.adapters.oci_registry import OciRegistry

    return OciRegistry(
        catalog.registry_url,
        user=settings.registry_user,
        password=settings.registry_password.read_optional,
        trusted=(catalog.forge_url,),
    )


def open_forge(settings: Settings, catalog: Catalog) -> Forge:
    """GitLab alone, for who needs nothing else."""
    from flowmaster_delivery.adapters.gitlab import GitLabForge

    return GitLabForge(catalog.forge_url, settings.gitlab_token.read)


def token_expiry(settings: Settings, catalog: Catalog) -> Callable[[], date | None]:
    """The day on which GitLab takes the platform's token no more; asks GitLab at each call."""
    from flowmaster_delivery.adapters.gitlab import GitLabForge

    forge = GitLabForge(catalog.forge_url, settings.gitlab_token.read)
    return lambda: forge.token().expires_on


def heartbeat(settings: Settings, part: str) -> Heartbeat:
    """How a process of this part shows that it works; `flowmaster alive` reads it."""
    from flowmaster_delivery.adapters.heartbeat_file import HeartbeatFile

    return HeartbeatFile(settings.home, part)


def pulse_of(instance: DagsterInstance) -> Pulse:
    """How Dagster's own machinery does, by this instance's database."""
    from flowmaster_delivery.adapters.dagster_pulse import DagsterPulse

    return DagsterPulse(instance)


def metadata_of(record: Record, settings: Settings) -> dict[str, TextMetadataValue]:
    """What makes an event of a run count as this record."""
    return sealed_metadata(settings.seal_key.read(), record)


def record_in(kind: type[R], event: EventLogEntry, settings: Settings) -> R | None:
    """The record that an event of a run carries, if it is of this kind and we sealed it."""
    content = event.asset_materialization or event.asset_observation
    return read_record(settings.seal_key.read(), kind, content.metadata) if content else None


def carries_record(event: EventLogEntry) -> bool:
    """Whether it was written to be read as a record, by whatever key that was sealed."""
    content = event.asset_materialization or event.asset_observation
    return content is not None and RECORD_KEY in content.metadata


def run_jobs(settings: Settings, namespace: str) -> RunJobs:
    """The Jobs of runs in the platform's own namespace; connects at once."""
    from flowmaster_delivery.adapters.kubernetes.run_jobs import KubernetesRunJobs

    return KubernetesRunJobs.open(settings.kubeconfig, namespace)


def leftovers(settings: Settings) -> LeasesOf:
    """What an uninstalled platform leaves, by environment; connects at each call."""

    def leases_of(environment: Environment) -> Leftovers:
        from flowmaster_delivery.adapters.kubernetes.leftovers import KubernetesLeftovers

        return KubernetesLeftovers.open(settings.kubeconfig, environment)

    return leases_of


def history_on(instance: DagsterInstance, settings: Settings) -> History:
    """The history in this instance's event log, sealed with this installation's key; not on the
    audit trail by itself."""
    return DagsterHistory(instance, settings.seal_key.read())


def on_trail(history: History, trail: AuditTrail, channel: Channel) -> History:
    """The history, with what the platform records on the audit trail as well."""
    return audited(history, by_the_platform(trail, here(channel)))


def here(channel: Channel) -> Whence:
    """This process, by the name of its host or pod."""
    return Whence(channel, socket.gethostname())


def audit_on(instance: DagsterInstance, settings: Settings) -> AuditTrail:
    """The audit trail in the database of this instance's event log; opened at first use."""
    from flowmaster_delivery.adapters.audit_trail import AuditTable

    return AuditTable(lambda: _engine_of(instance), settings.seal_key.read)


def _engine_of(instance: DagsterInstance) -> Engine:
    storage = instance.event_log_storage
    found = getattr(storage, "engine", None)
    if isinstance(found, Engine):
        return found
    raise Permanent(
        f"{type(storage).__name__} keeps no audit trail; in dagster.yaml make the storage that of "
        "flowmaster_delivery.defs.postgres, or the event log that of defs.event_log"
    )


def clusters(settings: Settings, catalog: Catalog) -> ClusterOf:
    """One door per environment, opened at first use and shared by all threads.

    The client library is imported then too: runs that touch no cluster start a second earlier.
    """
    guard, opened = Lock(), list[ClusterOf]()

    def cluster_of(environment: Environment) -> Cluster:
        from flowmaster_delivery.adapters.kubernetes import KubernetesClusters

        with guard:
            if not opened:
                opened.append(KubernetesClusters(settings.kubeconfig, catalog.services.values()))
        return opened[0](environment)

    return cluster_of


def metrics(settings: Settings, until: ExitStack | None = None) -> MetricsOf:
    """One door per environment, opened at first use and shared by all threads; `until` closes."""
    guard, opened = Lock(), dict[str, Metrics]()

    def metrics_of(environment: Environment) -> Metrics:
        from flowmaster_delivery.adapters.prometheus import PrometheusMetrics

        url = environment.measured_by().url
        with guard:
            if url not in opened:
                made = PrometheusMetrics(url, token=settings.metrics_token.read_optional)
                opened[url] = made
                if until is not None:
                    until.callback(made.close)
            return opened[url]

    return metrics_of


def notifier(settings: Settings) -> Notifier:
    """The log always; Slack where an incoming webhook is configured."""
    from flowmaster_delivery.adapters.notifiers import LogNotifier, SeveralNotifiers
    from flowmaster_delivery.adapters.slack import SlackNotifier

    log = LogNotifier()
    if settings.slack_webhook.path is None:
        return log
    return SeveralNotifiers((log, SlackNotifier(settings.slack_webhook.read)))
