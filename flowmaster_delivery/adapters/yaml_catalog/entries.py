"""What the checks look at: the entries of a file that are of the right form, and faults."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmaster_delivery.adapters.yaml_catalog.documents import Way
from flowmaster_delivery.adapters.yaml_catalog.schema import (
    EnvironmentEntry,
    RepositoryEntry,
    RetentionEntry,
    ServiceEntry,
)

Fault = tuple[Way, str]


@dataclass(slots=True)
class Entries:
    """The entries that are of the right form, and every name that the file gives."""

    repositories: dict[str, RepositoryEntry] = field(default_factory=dict)
    environments: dict[str, EnvironmentEntry] = field(default_factory=dict)
    services: dict[str, ServiceEntry] = field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    retention: RetentionEntry = field(default_factory=RetentionEntry)
