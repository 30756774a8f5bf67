"""A checkup: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from flowmaster_delivery.model.rights import Right


class Topic(StrEnum):
    """What a checkup is about; `flowmaster doctor --only` takes these words."""

    SETTINGS = "settings"
    CATALOG = "catalog"
    CLUSTER = "cluster"
    GITLAB = "gitlab"
    REGISTRY = "registry"
    METRICS = "metrics"
    STORAGE = "storage"
    DAGSTER = "dagster"
    CLOCK = "clock"
    AUDIT = "audit"


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and should not stay so."""
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    """Nothing is known of it from here; `seen` says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: Topic
    about: str
    """What of it: `production`, `token`, `seal_key`."""
    grade: Grade
    seen: str
    mend: str = ""
    """What to do; empty where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """The file of a secret, without the secret."""

    name: str
    variable: str
    path: str | None
    """None where none is configured."""
    trouble: str = ""
    """Why it cannot be read."""
    length: int = 0
    """Characters, without white space around."""
    mode: int = 0
    """Its permissions."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself. `clock` is None where its answers carry no date."""

    version: str
    clock: datetime | None


@dataclass(frozen=True, slots=True)
class Granted:
    """What a cluster lets us do in a namespace."""

    rights: tuple[Right, ...]
    complete: bool = True
    """False where an authorizer of the cluster does not tell its rules (in managed clusters)."""


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What GitLab says of our own token."""

    user: str
    scopes: frozenset[str]
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class HookFacts:
    """A webhook of a project."""

    url: str
    events: frozenset[str]
    """`push`, `tag_push`, `merge_requests`, `pipeline`, …"""
    paused: bool = False
    """GitLab sends nothing for now, since deliveries failed."""


@dataclass(frozen=True, slots=True)
class StorageFacts:
    """Where Dagster keeps its record."""

    kind: str
    revisions: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Part to the schema revision that it has, and the one that this program has."""


@dataclass(frozen=True, slots=True)
class DagsterFacts:
    """What the webserver knows of the installation."""

    version: str
    locations: Mapping[str, str] = field(default_factory=dict)
    """Code location to why it is not loaded; empty where it is."""
    daemons: Mapping[str, bool] = field(default_factory=dict)
    """Daemon that must run to whether it does."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """A server's clock beside ours: it was read between the two."""

    theirs: datetime
    before: datetime
    after: datetime
