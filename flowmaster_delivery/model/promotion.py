"""Promotion: a candidate, the questions asked of it, the answers, and who consented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from flowmaster_delivery.model.catalog import GateName


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that wants to enter an environment."""

    service: str
    environment: str
    repository: str
    commit: str
    digest: str | None
    """None where no image was found: the image gate is closed then."""
    fingerprint: str
    ref: str
    version: str | None = None


class GateState(StrEnum):
    MET = "met"
    UNMET = "unmet"
    NOT_REQUIRED = "not_required"
    OVERRIDDEN = "overridden"
    """Unmet, and let past by a named person until a named time."""
    UNREADABLE = "unreadable"
    """The facts could not be read: closed, and nobody's fault."""


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One question and its answer, in words that people can act on."""

    gate: GateName
    state: GateState
    summary: str
    remedy: str = ""
    """What would meet it; empty where nothing is missing."""
    opens_at: datetime | None = None
    """When it will open by itself, where that can be known."""
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        return self.state in (GateState.UNMET, GateState.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "may this candidate enter?": every question, none skipped."""

    candidate: Candidate
    checks: tuple[GateCheck, ...]
    at: datetime

    @property
    def open(self) -> bool:
        return bool(self.checks) and not self.unmet

    @property
    def unmet(self) -> tuple[GateCheck, ...]:
        return tuple(check for check in self.checks if check.closed)

    @property
    def opens_at(self) -> datetime | None:
        """When all will be open by themselves; None when already open or when people are needed."""
        times = [check.opens_at for check in self.unmet]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None


class ApprovalSource(StrEnum):
    MERGE_REQUEST = "merge_request"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Approval:
    """A named person's consent to a candidate, bound to its exact commit and digests (design §4.4).

    `withdrawn` is the veto of that person: it outdoes every approval given before it.
    """

    repository: str
    version: str
    commit: str
    digests: Mapping[str, str]
    """Service to digest, as they were when it was given; empty for a merge request's."""
    by: str
    by_id: int
    source: ApprovalSource
    at: datetime
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """That a candidate was admitted: the materialization of `<service>/promotion`."""

    candidate: Candidate
    ship: bool
    asked_by: str
    reason: str
    at: datetime
    overrides: tuple[str, ...] = ()
    """Gates that were closed and that somebody let it past, a sentence for each."""


@dataclass(frozen=True, slots=True)
class Override:
    """That a candidate is let past one closed gate, by a member of the group that policy names.

    Bound to the exact commit: a moved tag is another candidate. Membership is read again at the
    moment of effect.
    """

    id: str
    gate: GateName
    environment: str
    repository: str
    version: str
    commit: str
    by: str
    reason: str
    at: datetime
    expires_at: datetime


EVERY_SERVICE = "*"
"""As the service of a hold: nothing is promoted there, and nothing rolls back by itself."""


@dataclass(frozen=True, slots=True)
class Hold:
    """No promotion of one service in one environment, by a person or after a rollback.

    Of EVERY_SERVICE after a rollback that failed: automation stops there.
    """

    id: str
    service: str
    environment: str
    author: str
    reason: str
    at: datetime
    released_by: str | None = None
    released_at: datetime | None = None
    release_reason: str = ""
    fingerprint: str = ""
    """Where it names one, only candidates of that source are held: the next one goes on."""

    @property
    def active(self) -> bool:
        return self.released_at is None

    def concerns(self, service: str, environment: str) -> bool:
        """Whether it stands in the way of the service there."""
        return self.environment == environment and self.service in (service, EVERY_SERVICE)

    def stops_all(self, environment: str) -> bool:
        """Whether it is in force against everything there: nothing acts by itself then."""
        return self.active and (self.service, self.environment) == (EVERY_SERVICE, environment)

    def stops(self, candidate: Candidate) -> bool:
        """Whether it is in force against this candidate."""
        concerned = self.concerns(candidate.service, candidate.environment)
        return self.active and concerned and self.fingerprint in ("", candidate.fingerprint)


@dataclass(frozen=True, slots=True)
class ReleaseSeen:
    """The first sight of a version tag at a commit. A moved tag is seen anew: another candidate."""

    repository: str
    version: str
    commit: str
    at: datetime
    images: Mapping[str, str] = field(default_factory=dict)
    """Service to digest: the manifest of the release, every service of its repository."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
