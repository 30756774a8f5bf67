"""What a checkup asks of the outside, beyond what the platform's work asks of it. Every call may
raise `model.errors`; NotConfigured where this process was not given the means."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from flowmaster_delivery.model.catalog import Environment, Repository
from flowmaster_delivery.model.checkup import (
    DagsterFacts,
    Granted,
    HookFacts,
    SecretFile,
    ServerFacts,
    StorageFacts,
    TokenFacts,
)
from flowmaster_delivery.model.rights import Act
from flowmaster_delivery.model.source import Refs
from flowmaster_delivery.ports.audit import AuditTrail
from flowmaster_delivery.ports.cluster import ClusterOf
from flowmaster_delivery.ports.looks import MetricsOf


class ClusterDoor(Protocol):
    """One environment's cluster, as it sees us."""

    def server(self) -> ServerFacts: ...

    def rights(self) -> Granted:
        """In the environment's namespace."""

    def may(self, act: Act) -> bool:
        """The same for one act, for clusters that do not tell all rules."""


class ForgeDoor(Protocol):
    """GitLab, as it sees us."""

    def server(self) -> ServerFacts: ...

    def token(self) -> TokenFacts: ...

    def members(self, group: str) -> frozenset[str]: ...

    def refs(self, repository: Repository) -> Refs: ...

    def hooks(self, repository: Repository) -> tuple[HookFacts, ...]: ...


class RegistryDoor(Protocol):
    def check_pull(self, image: str) -> None:
        """Raise Denied where we may not read manifests there."""

    def check_push(self, image: str) -> None:
        """Raise Denied where we may not write; begins an upload and calls it off."""


class DagsterDoor(Protocol):
    def facts(self) -> DagsterFacts: ...


class StorageDoor(Protocol):
    """Dagster's storage, opened."""

    def facts(self) -> StorageFacts: ...

    def write_and_read(self) -> None:
        """Raise Unreachable where what is written does not come back."""

    @property
    def audit(self) -> AuditTrail: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """All of it, as the flows of a checkup take it."""

    secrets: tuple[SecretFile, ...]
    smoke_secret: Callable[[str, str], str]
    """Environment and name to the secret; Permanent where it is not there."""
    seal_key: Callable[[], str]
    forge: ForgeDoor
    registry: RegistryDoor
    registry_user: str | None
    cluster: ClusterOf
    cluster_door: Callable[[Environment], ClusterDoor]
    inside: bool
    """Whether clusters are reached from within."""
    metrics: MetricsOf
    dagster: DagsterDoor
    dagster_named: bool
    """Whether somebody said where the webserver is; else it is looked for where it may not be."""
    storage: Callable[[], AbstractContextManager[StorageDoor]]
