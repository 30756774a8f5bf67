"""What people decide: a rollback of their own, and the answer to an incident that asks for one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from flowmaster_delivery.flows.incidents import alarms
from flowmaster_delivery.flows.incidents.opening import (
    about,
    begun,
    every,
    find,
    free_hold_id,
    known,
    past_of,
    save,
    tell,
    with_words,
)
from flowmaster_delivery.flows.rollback import PREVIOUS, check_kind, target
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import NotFound, Refused
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.rollback import Action, RollbackMethod, Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.policy.incident_report import title
from flowmaster_delivery.policy.rollback import Case, Past, what_brought, what_runs
from flowmaster_delivery.ports import History


@dataclass(frozen=True, slots=True)
class Wish:
    """A rollback that a person asks for: to `previous` or a version, or what an incident says."""

    to: str = PREVIOUS
    method: RollbackMethod | None = None
    incident: str = ""


def by_person(service: Service, environment: Environment, wish: Wish, work: Work) -> Incident:
    """The incident of a rollback that a person asked for, on record; the caller carries it out.

    What is open about this image becomes that; a run that is tried again goes on with its own.
    Raise NotFound where there is no verified way back, UnknownName with the versions there are.
    """
    check_kind(service)
    case = Case(
        service=service.name,
        environment=environment.name,
        trigger=Trigger.PERSON,
        words=work.asked.reason or f"{work.asked.by} asked for it",
        at=work.now(),
        digest=None,
    )
    past = past_of(case, work.history)
    open_one = _open_one(service, wish, past, work)
    if open_one is not None:
        return save(_taken_over(open_one, past, wish, work), work.history)
    back = target(service, environment, wish.to, work.history)
    return save(_new(case, back, past, wish, work), work.history)


def decide_asked(
    wanted: str,
    *,
    approve: bool,
    by: str,
    reason: str,
    catalog: Catalog,
    history: History,
    now: datetime,
) -> Incident:
    """Record what a person decided. Raise UnknownName with the open ones, Refused where nobody is
    asked any more. An approved one is carried out by the run that the caller launches."""
    incident = find(wanted, catalog, history)
    if incident.state is not IncidentState.ASKED:
        raise Refused(f"nobody is asked about incident {wanted}: {title(incident)}")
    if approve and incident.decided_by:
        return incident
    if not approve and not reason.strip():
        raise Refused(f"to live with incident {wanted} needs a reason; give one")
    if approve and incident.to_digest is None:
        raise NotFound(f"incident {wanted} knows no verified image to go back to")
    said = f": {reason.strip()}" if reason.strip() else ""
    what = "to roll back" if approve else "to live with it"
    decided = replace(incident, decided_by=by)
    if not approve:
        dismissed = tuple(dict.fromkeys((*incident.dismissed, incident.trigger)))
        decided = replace(decided, state=IncidentState.LEFT, dismissed=dismissed)
    return save(with_words(decided, now, f"{by} decided {what}{said}"), history)


def escalate(incidents: tuple[Incident, ...], work: Work) -> None:
    """Tell again, louder and once, what nobody has decided by its deadline. Nothing else."""
    now = work.now()
    for incident in incidents:
        waits = incident.state is IncidentState.ASKED and not incident.decided_by
        late = incident.deadline is not None and now >= incident.deadline
        if waits and late and incident.escalated_at is None:
            louder = replace(incident, escalated_at=now)
            words = "nobody has decided by the deadline: told again, louder"
            save(with_words(louder, now, words), work.history)
            tell(alarms.escalated(louder, now), work)


def settle(incidents: tuple[Incident, ...], running: dict[str, str | None], work: Work) -> None:
    """Nobody is asked any more about an image that does not run any more."""
    for incident in incidents:
        digest = running.get(incident.services[0])
        gone = digest is not None and digest != incident.from_digest
        if incident.state is IncidentState.ASKED and gone:
            left = replace(incident, state=IncidentState.LEFT)
            words = f"{incident.services[0]} runs another image meanwhile"
            save(with_words(left, work.now(), words), work.history)


def open_ones(
    catalog: Catalog, history: History, environment: str | None = None
) -> tuple[Incident, ...]:
    return tuple(one for one in every(catalog, history, environment) if one.state.open)


def _open_one(service: Service, wish: Wish, past: Past, work: Work) -> Incident | None:
    """What is open of the service and means this rollback: named, of this run, or on its way."""
    of_it = [one for one in past.incidents if one.state.open and service.name in one.services]
    if wish.incident:
        found = next((one for one in of_it if one.id == wish.incident), None)
        if found is None:
            raise Refused(f"incident {wish.incident} is not open for {service.name} any more")
        return found
    on_its_way = [one for one in of_it if one.state is IncidentState.ROLLING_BACK]
    if wish.to.strip() in ("", PREVIOUS):
        return next(iter(on_its_way), None)
    return next((one for one in on_its_way if one.run_id == work.asked.run_id), None)


def _taken_over(incident: Incident, past: Past, wish: Wish, work: Work) -> Incident:
    by, again = work.asked.by, incident.run_id == work.asked.run_id
    words = "its run was tried again" if again else f"{by} rolls it back"
    taken = replace(
        incident,
        state=IncidentState.ROLLING_BACK,
        decided_by=incident.decided_by or by,
        method=wish.method or incident.method,
        run_id=work.asked.run_id,
        hold_id=incident.hold_id or free_hold_id(incident.id, past),
    )
    return with_words(taken, work.now(), words)


def _new(case: Case, back: DeploymentRecord, past: Past, wish: Wish, work: Work) -> Incident:
    now, running = work.now(), what_runs(past.records)
    brought = what_brought(running, past.records)
    incident = known(case, running, brought, past) or replace(
        begun(case, running, brought, case.at), action=Action.ASK, why="a person asked for it"
    )
    incident = replace(
        about(incident, running, brought, back),
        state=IncidentState.ROLLING_BACK,
        decided_by=work.asked.by,
        method=wish.method,
        run_id=work.asked.run_id,
        hold_id=free_hold_id(incident.id, past),
    )
    incident = replace(incident, told=alarms.whom(incident, work.catalog))
    return with_words(incident, now, f"{work.asked.by} asked for a rollback: {case.words}")
