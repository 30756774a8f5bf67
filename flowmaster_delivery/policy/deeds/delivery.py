"""What became of images: admitted, shipped, brought back, spoken against."""

from __future__ import annotations

from collections.abc import Mapping

from flowmaster_delivery.model.audit import Action, Deed, Result, Whence
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission
from flowmaster_delivery.model.rollback import Action as Decided
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.deeds.naming import PLATFORM, said, via_of


def of_admission(admission: Admission, whence: Whence, via: str) -> Deed:
    candidate = admission.candidate
    return Deed(
        Action.PROMOTION_ADMITTED,
        Result.ACCEPTED,
        admission.at,
        whence,
        who=admission.asked_by,
        via=via_of(admission.asked_by, via),
        environment=candidate.environment,
        services=(candidate.service,),
        version=candidate.version or "",
        commit=candidate.commit,
        to_digest=candidate.digest or "",
        reason=admission.reason,
        gates=admission.overrides,
        details=said(repository=candidate.repository, fingerprint=candidate.fingerprint),
    )


DEPLOYED: Mapping[Method, tuple[Action, Action]] = {
    Method.ROLLOUT: (Action.PROMOTION_SHIPPED, Action.PROMOTION_FAILED),
    Method.RELEASE: (Action.PROMOTION_SHIPPED, Action.PROMOTION_FAILED),
    Method.ROLLBACK: (Action.ROLLBACK_DONE, Action.ROLLBACK_FAILED),
    Method.ADOPTION: (Action.ADOPTION, Action.ADOPTION),
}
"""What it is called where it succeeded, and where not."""


def of_deployment(record: DeploymentRecord, whence: Whence, via: str) -> Deed:
    done = record.outcome is Outcome.SUCCESS
    good, bad = DEPLOYED[record.method]
    unchanged = Result.ACCEPTED if record.method is Method.ADOPTION else Result.UNCHANGED
    return Deed(
        good if done else bad,
        (Result.DONE if record.changed else unchanged) if done else Result.FAILED,
        record.finished_at,
        whence,
        who=record.asked_by,
        via=via_of(record.asked_by, via),
        environment=record.environment,
        services=(record.service,),
        version=record.version or "",
        commit=record.commit,
        from_digest=record.previous_digest or "",
        to_digest=record.digest,
        reason=record.reason,
        run_id=record.run_id,
        details=said(
            outcome=record.outcome.value,
            message=record.message,
            revision=record.revision,
            token=record.token,
            problems="; ".join(f"{p.pod}: {p.reason}" for p in record.problems[:5]),
        ),
    )


def of_incident(incident: Incident, whence: Whence, via: str) -> Deed | None:
    """How it stands now, each time that it is recorded; that it was rolled back is said by the
    record of that."""
    action = _incident_action(incident)
    if action is None:
        return None
    by_person = action in (Action.ROLLBACK_BEGUN, *DECIDED_BY_PEOPLE)
    who = incident.decided_by if by_person else PLATFORM
    failed = action is Action.INCIDENT_FAILED
    return Deed(
        action,
        Result.FAILED if failed else Result.ACCEPTED,
        incident.updated_at,
        whence,
        who=who,
        via=via_of(who, via),
        environment=incident.environment,
        services=incident.services,
        version=incident.from_version or "",
        commit=incident.from_commit,
        from_digest=incident.from_digest or "",
        to_digest=incident.to_digest or "",
        reason=incident.reason,
        run_id=incident.run_id,
        details=said(
            incident=incident.id,
            trigger=incident.trigger.value,
            why=incident.why,
            back_to=incident.to_version,
            hold=incident.hold_id,
            said=incident.timeline[-1].words if incident.timeline else "",
        ),
    )


DECIDED_BY_PEOPLE = (Action.INCIDENT_APPROVED, Action.INCIDENT_DISMISSED)


def _incident_action(incident: Incident) -> Action | None:
    match incident.state:
        case IncidentState.ROLLING_BACK:
            by_itself = incident.action is Decided.AUTOMATIC and not incident.decided_by
            return Action.ROLLBACK_AUTOMATIC if by_itself else Action.ROLLBACK_BEGUN
        case IncidentState.ASKED:
            return Action.INCIDENT_APPROVED if incident.decided_by else Action.INCIDENT_ASKED
        case IncidentState.LEFT:
            dismissed = incident.decided_by and incident.trigger in incident.dismissed
            return Action.INCIDENT_DISMISSED if dismissed else Action.INCIDENT_LEFT
        case IncidentState.FAILED:
            return Action.INCIDENT_FAILED
        case IncidentState.ROLLED_BACK:
            return None
