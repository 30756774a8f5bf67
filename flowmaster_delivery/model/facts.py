"""What a gate decides on: every fact that was read, or why it could not be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.migration import Migration, MigrationRecord, SchemaRange
from flowmaster_delivery.model.promotion import Approval, Hold, Override
from flowmaster_delivery.model.source import Commit, Job, MergeRequest, Person, Pipeline


@dataclass(frozen=True, slots=True)
class Unread:
    """A fact that is not known, and why. A required gate that meets one is closed (fail closed)."""

    why: str = "it was not read"


@dataclass(frozen=True, slots=True)
class CiFacts:
    """The newest pipeline of the candidate's source commit with its jobs; no pipeline: None."""

    pipeline: Pipeline | None
    jobs: tuple[Job, ...]
    stages: tuple[str, ...]
    """The stages that count."""


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """Everything that counting approvals needs, read at the moment of effect."""

    members: frozenset[str]
    """Usernames of the group that policy names."""
    merge_request: MergeRequest | None
    recorded: tuple[Approval, ...]
    """Given or withdrawn by command, oldest first, at whatever commit."""
    commits: tuple[Commit, ...]
    """Between what runs and the candidate, of all services that ship together."""
    people: Mapping[str, Person | None]
    """Commit e-mail to the person GitLab knows by it, None for nobody."""
    digests: Mapping[str, str]
    """Service to digest of what would ship, as approvals by command are bound to them."""


@dataclass(frozen=True, slots=True)
class TagFacts:
    """Where the version tag points now; whether main holds that commit and is protected."""

    commit: str | None
    last_seen_commit: str | None
    on_main: bool
    main_protected: bool


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """One schema that the candidate works on, as far as it is on record here."""

    job: str
    records: tuple[MigrationRecord, ...]
    """Newest first."""
    needs: SchemaRange | str | None = None
    """Versions that the candidate's image says it runs on; a fault in words; None: not said."""
    coming: Migration | None = None
    """What is admitted here, or comes with the same commit, and has not run yet."""


@dataclass(frozen=True, slots=True)
class MigrationFacts:
    """What is known of the schemas that a candidate migrates or works on; empty for the others."""

    schemas: tuple[SchemaFacts, ...] = ()
    declared: Migration | tuple[str, ...] | None = None
    """Of a job: what its image says that it does, or every fault of that."""
    users: tuple[SchemaUser, ...] = ()
    """Of a job: the services that run here on its schema."""


@dataclass(frozen=True, slots=True)
class SchemaUser:
    """A service that runs on a schema; `needs` is None where its image did not say on which."""

    service: str
    needs: SchemaRange | None


@dataclass(frozen=True, slots=True)
class HotfixFacts:
    """What tells whether a release that says that it is a hotfix is one."""

    merge_request: MergeRequest
    """The one that brought the candidate's commit to main."""
    members: frozenset[str]
    """Usernames of the group whose members may use it."""
    commits: tuple[Commit, ...]
    """Between what runs and the candidate, of all services that ship together, newest first."""
    requests: Mapping[str, MergeRequest | None]
    """Commit to the merge request that brought it to main, None for what came without one.
    Commits behind the first that is no hotfix's were not asked about."""


@dataclass(frozen=True, slots=True)
class OverrideFacts:
    """Who let the candidate past which gate, read at the moment of effect."""

    recorded: tuple[Override, ...] = ()
    """Of the version, at whatever commit, expired or not."""
    members: frozenset[str] | Unread = frozenset()
    """Usernames of the group that policy names."""


@dataclass(frozen=True, slots=True)
class GateFacts:
    """One service's facts. What no required gate asks for stays Unread."""

    ci: CiFacts | Unread = Unread()
    image: RegistryImage | Unread | None = Unread()
    upstream: tuple[HealthObservation, ...] | Unread = Unread()
    """Observations of the service in the upstream environment, oldest first."""
    holds: tuple[Hold, ...] | Unread = Unread()
    approvals: ApprovalFacts | Unread = Unread()
    tag: TagFacts | Unread = Unread()
    signed: bool | Unread = Unread()
    scan_passed: bool | Unread | None = Unread()
    """None where there is no scan result at all."""
    migrations: MigrationFacts | Unread = Unread()
    hotfix: HotfixFacts | Unread | None = None
    """None where it does not say that it is one, or policy knows none."""
    overrides: OverrideFacts | Unread = OverrideFacts()
