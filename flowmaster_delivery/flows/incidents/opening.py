"""Incidents: opened with their evidence, recorded at each change of state, told to people.

Who opens one records it before anything else happens; who finds it open knows what was meant.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from datetime import datetime

from flowmaster_delivery.flows.incidents import alarms
from flowmaster_delivery.flows.rollback import LOOKED_BACK, verified
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import UnknownName
from flowmaster_delivery.model.events import Event
from flowmaster_delivery.model.incident import Incident, IncidentState, Moment
from flowmaster_delivery.model.rollback import Action
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.policy.incident_report import report
from flowmaster_delivery.policy.rollback import (
    Case,
    Decision,
    Past,
    decide,
    incident_id,
    what_brought,
)
from flowmaster_delivery.ports import History

REMEMBERED = 50
"""Incidents of an environment that are looked at."""

STATES = {
    Action.AUTOMATIC: IncidentState.ROLLING_BACK,
    Action.ASK: IncidentState.ASKED,
    Action.NEVER: IncidentState.LEFT,
}

_deciding = threading.Lock()
"""Threads of one process decide one after the other: the next one sees what was opened."""


def open_case(case: Case, work: Work) -> Incident | None:
    """Decide a case and put on record what was decided; None where there is nothing to do.

    Whoever gets an incident that is ROLLING_BACK carries it out (`taking_back.take_back`).
    """
    environment = work.catalog.environment(case.environment)
    rule = environment.safeguards_of(work.catalog.service(case.service)).rollback
    with _deciding:
        past = past_of(case, work.history)
        decision = decide(case, rule, past, work.now())
        if decision.action is None:
            return None
        deadline = work.now() + rule.deadline if decision.action is Action.ASK else None
        incident = save(_opened(case, decision, past, deadline, work), work.history)
    if incident.state is IncidentState.ASKED:
        tell(alarms.asked(incident, work.now()), work)
    else:
        tell(alarms.opened(incident, environment), work)
    return incident


def past_of(case: Case, history: History) -> Past:
    """All that a decision about the case asks of the record."""
    service, environment = case.service, case.environment
    records = history.deployments(service, environment, limit=LOOKED_BACK)
    return Past(
        records=records,
        incidents=history.incidents(environment, limit=REMEMBERED),
        holds=history.holds(),
        back=verified(service, environment, records, history, leaving=case.digest),
    )


def _opened(
    case: Case, decision: Decision, past: Past, deadline: datetime | None, work: Work
) -> Incident:
    """The incident of the case: a new one, or that of the same change, which goes on."""
    now, action = work.now(), decision.action or Action.NEVER
    brought, back = what_brought(case.digest, past.records), past.back
    found = replace(
        known(case, case.digest, brought, past) or begun(case, case.digest, brought, now),
        trigger=case.trigger,
        action=action,
        state=STATES[action],
        updated_at=now,
        reason=case.words,
        why=decision.why,
        deadline=deadline,
        escalated_at=None,
        decided_by="",
        run_id=work.asked.run_id,
    )
    found = replace(
        about(found, case.digest, brought, back),
        hold_id=free_hold_id(found.id, past) if action is Action.AUTOMATIC else "",
        judgements=(*found.judgements, *case.judgements),
        evidence={**found.evidence, **case.evidence},
        told=alarms.whom(found, work.catalog),
    )
    return with_words(found, now, case.words, f"decided {action}: {decision.why}")


def known(
    case: Case, digest: str | None, brought: DeploymentRecord | None, past: Past
) -> Incident | None:
    """The incident of the same change to the image, where there is one."""
    identity = incident_id(case.service, case.environment, digest, brought)
    return next((one for one in past.incidents if one.id == identity), None)


def begun(
    case: Case, digest: str | None, brought: DeploymentRecord | None, now: datetime
) -> Incident:
    """A new incident, of which nothing is decided."""
    return Incident(
        id=incident_id(case.service, case.environment, digest, brought),
        environment=case.environment,
        services=(case.service,),
        trigger=case.trigger,
        action=Action.NEVER,
        state=IncidentState.LEFT,
        opened_at=now,
        updated_at=now,
        reason=case.words,
        timeline=(Moment(case.at, "it began"),) if case.at < now else (),
    )


def about(
    incident: Incident,
    digest: str | None,
    brought: DeploymentRecord | None,
    back: DeploymentRecord | None,
) -> Incident:
    """The incident with what it is about: the image that runs, and the one to go back to."""
    return replace(
        incident,
        from_digest=digest,
        from_version=brought.version if brought else None,
        from_commit=brought.commit if brought else "",
        to_digest=back.digest if back else None,
        to_version=back.version if back else None,
    )


def free_hold_id(identity: str, past: Past) -> str:
    """The incident's own id, so that whoever places the hold again places the same; another where
    that one was released already."""
    used = {hold.id for hold in past.holds if not hold.active}
    return identity if identity not in used else uuid.uuid4().hex[:8]


def with_words(incident: Incident, now: datetime, *words: str) -> Incident:
    """The incident with more of its story."""
    return replace(
        incident,
        updated_at=now,
        timeline=(*incident.timeline, *(Moment(now, said) for said in words)),
    )


def save(incident: Incident, history: History) -> Incident:
    history.record(incident, shown=report(incident))
    return incident


def tell(event: Event, work: Work) -> None:
    work.aside(lambda: work.ports.notifier.tell(event))


def find(wanted: str, catalog: Catalog, history: History) -> Incident:
    """The incident of this id, wherever it is; raise UnknownName with those that are open, or with
    all of them where none is."""
    found = every(catalog, history)
    for incident in found:
        if incident.id == wanted:
            return incident
    open_ones = [one.id for one in found if one.state.open]
    raise UnknownName("incident", wanted, open_ones or [one.id for one in found])


def every(
    catalog: Catalog, history: History, environment: str | None = None
) -> tuple[Incident, ...]:
    """The newest incidents of all environments, or of one, newest first."""
    names = [environment] if environment else list(catalog.environments)
    found = [one for name in names for one in history.incidents(name, limit=REMEMBERED)]
    return tuple(sorted(found, key=lambda one: one.opened_at, reverse=True))
