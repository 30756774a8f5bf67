"""Rollback: where back is, what speaks against an image, and what the rules make of that.

The rules are read from top to bottom in `decide`; each answer says in words which one it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.rollback import Action, RollbackRule, Trigger
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.policy.wording import moment, span

BY_ITSELF = (Trigger.PERSON, Trigger.CANARY)
"""Triggers whose rollback takes nothing back that ran, or that a person wanted."""
DONE = (IncidentState.ROLLED_BACK, IncidentState.ROLLING_BACK, IncidentState.FAILED)


@dataclass(frozen=True, slots=True)
class Case:
    """What speaks against an image that runs. `at` is when it began to speak."""

    service: str
    environment: str
    trigger: Trigger
    words: str
    at: datetime
    digest: str | None
    """What it speaks against."""
    judgements: tuple[Judgement, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """What is on record when a case is decided; records and incidents newest first."""

    records: tuple[DeploymentRecord, ...] = ()
    incidents: tuple[Incident, ...] = ()
    holds: tuple[Hold, ...] = ()
    back: DeploymentRecord | None = None
    """The verified image to go back to, where there is one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a case, and the rule that says so. Without an action: nothing,
    since it is done or told already, or says nothing of what runs."""

    action: Action | None
    why: str


def verified_before(
    records: Iterable[DeploymentRecord],
    verifications: Iterable[Verification],
    healthy: Set[str],
    known_since: datetime | None,
    leaving: str | None = None,
) -> DeploymentRecord | None:
    """The newest success on another image than `leaving`, that was verified.

    Without `leaving` it is the last image that was tried: after a canary that failed, back is what
    runs. `records` and `verifications` newest first. An image whose verification is not on record
    at all counts as verified if it was adopted, if it is one of the digests `healthy` that were
    seen so since `known_since` (None: since ever), or if it ended before that: nobody rolled it
    back.
    """
    newest_first = tuple(records)
    tried = newest_first[0].digest if newest_first else None
    bad = rolled_back_from(newest_first) | {leaving or tried}
    verdicts = _verdicts(verifications)
    adopted = {r.digest for r in newest_first if r.method is Method.ADOPTION}
    for record in newest_first:
        if record.outcome is not Outcome.SUCCESS or record.digest in bad:
            continue
        unrecorded = record.digest in adopted | healthy or _before(record, known_since)
        if verdicts.get(record.digest, unrecorded):
            return record
    return None


def rolled_back_from(newest_first: Iterable[DeploymentRecord]) -> frozenset[str]:
    """Digests that a rollback left and that nobody has brought back since.

    One that failed left them as well: whoever wanted to go away from an image does not want it.
    """
    bad: set[str] = set()
    for record in reversed(tuple(newest_first)):
        if record.outcome not in (Outcome.SUCCESS, Outcome.FAILURE):
            continue
        if record.method is Method.ROLLBACK and record.previous_digest and record.changed:
            bad.add(record.previous_digest)
        if record.outcome is Outcome.SUCCESS:
            bad.discard(record.digest)
    return frozenset(bad)


def what_runs(newest_first: Iterable[DeploymentRecord]) -> str | None:
    """What was brought to the service last, as far as the record knows.

    A canary that failed never touched it; of a change without an answer nothing is known.
    """
    touched = (
        record
        for record in newest_first
        if record.outcome is Outcome.SUCCESS
        or (record.changed and record.outcome is not Outcome.ERROR)
    )
    return next((record.digest for record in touched), None)


def what_brought(
    digest: str | None, newest_first: Iterable[DeploymentRecord]
) -> DeploymentRecord | None:
    """The last change to this image; None while it is on its way, and where it is not ours."""
    to_it = [record for record in newest_first if record.digest == digest]
    return next((record for record in to_it if record.changed), to_it[0] if to_it else None)


def incident_id(
    service: str, environment: str, digest: str | None, brought: DeploymentRecord | None
) -> str:
    """One incident per change: whoever opens it, twice or at the same moment, opens the same."""
    change = brought.finished_at.isoformat() if brought else ""
    text = "\0".join((environment, service, digest or "", change))
    return sha256(text.encode()).hexdigest()[:8]


def decide(case: Case, rule: RollbackRule, past: Past, now: datetime) -> Decision:
    """What is to be done about a case. Asks the rules in their order; the first one answers."""
    brought = what_brought(case.digest, past.records)
    ignored = _ignored(case, brought, past)
    if ignored:
        return Decision(None, ignored)
    found = _by_rule(case, brought, rule, past, now)
    for incident in _of(case, past):
        if incident.state is IncidentState.ASKED and found.action is not Action.AUTOMATIC:
            return Decision(None, f"a person has been asked: incident {incident.id}")
        told = incident.state is IncidentState.LEFT and incident.why == found.why
        if told and _same_change(incident, case, brought):
            return Decision(None, f"told already: incident {incident.id}")
    return found


def environment_is_ill(failing: int, of: int, rule: RollbackRule) -> bool:
    """Whether so many of the services fail in one look that it is not their images.

    One service alone is never its environment.
    """
    return failing > 1 and failing > rule.ill_share * of


def _ignored(case: Case, brought: DeploymentRecord | None, past: Past) -> str:
    """Why the case is none; empty where it is one."""
    if brought is None:
        return "what runs is still on its way, or was not brought by the platform"
    if what_runs(past.records) != case.digest:
        return "another image was brought since"
    if case.at < brought.finished_at:
        return f"it began before the end of what brought this image ({brought.run_id})"
    for incident in _of(case, past):
        if incident.state is IncidentState.ROLLING_BACK:
            return f"it is being rolled back: incident {incident.id}"
        if not _same_change(incident, case, brought):
            continue
        if incident.state is IncidentState.FAILED:
            return f"its rollback failed, and people know: incident {incident.id}"
        if case.trigger in incident.dismissed:
            return f"{incident.decided_by} decided to live with it: incident {incident.id}"
    return ""


def _by_rule(
    case: Case,
    brought: DeploymentRecord | None,
    rule: RollbackRule,
    past: Past,
    now: datetime,
) -> Decision:
    of_it = rule.of(case.trigger)
    if of_it.action is Action.NEVER:
        words = f"policy of {case.environment}: {case.trigger} is told, and nothing is done"
        return Decision(Action.NEVER, words)
    if brought and brought.method is Method.ROLLBACK:
        words = "what runs came by a rollback; a rollback is never rolled back by itself"
        return Decision(Action.NEVER, f"{words}: {_forward(case)}")
    for hold in past.holds:
        if hold.stops_all(case.environment):
            words = (
                f"{case.environment} is held as a whole (hold {hold.id}): nothing acts by itself"
            )
            return Decision(Action.NEVER, words)
    if past.back is None:
        words = "there is no verified image to go back to"
        return Decision(Action.NEVER, f"{words}: {_forward(case)}")
    if of_it.action is Action.ASK:
        words = f"policy of {case.environment}: {case.trigger} asks a person"
        return Decision(Action.ASK, words)
    last = _last_by_itself(case, past)
    if last and now - last.updated_at < rule.once_in:
        words = (
            f"it was rolled back by itself {moment(last.updated_at, now)} (incident {last.id}), "
            f"and that happens once in {span(rule.once_in)}: a person is asked"
        )
        return Decision(Action.ASK, words)
    words = f"policy of {case.environment}: {case.trigger} rolls back by itself"
    return Decision(Action.AUTOMATIC, words)


def _forward(case: Case) -> str:
    """The way forward, where there is none back."""
    command = f"flowmaster rollback {case.environment} --service {case.service} --to vX.Y.Z"
    return f"ship a version that mends it, or name one: {command}"


def _of(case: Case, past: Past) -> Iterable[Incident]:
    return (one for one in past.incidents if case.service in one.services)


def _same_change(incident: Incident, case: Case, brought: DeploymentRecord | None) -> bool:
    return incident.id == incident_id(case.service, case.environment, case.digest, brought)


def _last_by_itself(case: Case, past: Past) -> Incident | None:
    """The last rollback of the service that nobody had asked for."""
    found = (
        one
        for one in _of(case, past)
        if one.action is Action.AUTOMATIC and one.state in DONE and one.trigger not in BY_ITSELF
    )
    return max(found, key=lambda one: one.updated_at, default=None)


def _verdicts(newest_first: Iterable[Verification]) -> dict[str, bool]:
    """Digest to whether it is verified: the last word that decided it, else no."""
    verdicts: dict[str, bool] = {}
    for one in reversed(tuple(newest_first)):
        if one.outcome in (Outcome.SUCCESS, Outcome.FAILURE):
            verdicts[one.digest] = one.verified
        else:
            verdicts.setdefault(one.digest, False)
    return verdicts


def _before(record: DeploymentRecord, moment: datetime | None) -> bool:
    return moment is not None and record.finished_at < moment
