"""Cases that runs bring: a rollout that failed, a canary that was taken away, a verification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flowmaster_delivery.flows.goal import Asked
from flowmaster_delivery.flows.incidents import alarms
from flowmaster_delivery.flows.incidents.opening import (
    REMEMBERED,
    begun,
    free_hold_id,
    open_case,
    past_of,
    save,
    tell,
    with_words,
)
from flowmaster_delivery.flows.incidents.taking_back import place_hold, take_back
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Environment, Kind
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, last_success
from flowmaster_delivery.model.verification import Validation, Verification
from flowmaster_delivery.policy.deeds.naming import PLATFORM
from flowmaster_delivery.policy.rollback import Case
from flowmaster_delivery.policy.waves import waves


def after_deployment(record: DeploymentRecord, work: Work) -> tuple[Incident, ...]:
    """What follows from a deployment that is on record; carried out before this returns.

    A canary that failed was taken away already: the service is held, and people are told. A rollout
    that failed halfway goes back, and with it, where policy says so, all that its run brought.
    """
    service = work.catalog.service(record.service)
    environment = work.catalog.environment(record.environment)
    if record.method is not Method.ROLLOUT or service.kind is not Kind.DEPLOYMENT:
        return ()
    work = by_itself(work)
    whole = environment.safeguards_of(service).rollback.whole_release
    match record.outcome:
        case Outcome.SUCCESS if whole and record.changed:
            return _taken_along(record, _failed_sibling(record, environment, work), work)
        case Outcome.FAILURE if record.changed:
            first = _failed_rollout(record, work)
            if first is None or first.action is not Action.AUTOMATIC or not whole:
                return (first,) if first else ()
            return (first, *_release_back(first, record, environment, work))
        case Outcome.FAILURE:
            return (_failed_canary(record, environment, work),)
        case _:
            return ()


def after_verification(verification: Verification, work: Work) -> Incident | None:
    """What follows from a verification that is on record: only a failure leads to anything."""
    if verification.outcome is not Outcome.FAILURE:
        return None
    failed = [one for one in verification.results if one.outcome is Outcome.FAILURE]
    only_health = all(one.validation is Validation.HEALTH for one in failed)
    case = Case(
        service=verification.service,
        environment=verification.environment,
        trigger=Trigger.HEALTH if only_health else Trigger.VERIFICATION,
        words="; ".join(f"{one.validation}: {one.words}" for one in failed) or "not verified",
        at=verification.at,
        digest=verification.digest,
        judgements=verification.figures,
        evidence={
            f"{one.validation}: {name}": value
            for one in failed
            for name, value in one.evidence.items()
        },
    )
    return acted(case, by_itself(work))


def acted(case: Case, work: Work) -> Incident | None:
    """Decide a case and, where it goes back by itself, take it back; None where it is none."""
    incident = open_case(case, work)
    if incident is None or incident.state is not IncidentState.ROLLING_BACK:
        return incident
    return take_back(incident, work)


def by_itself(work: Work) -> Work:
    """What nobody asked for is asked by the platform, in whatever run it was noticed."""
    return replace(work, asked=Asked(work.asked.run_id, PLATFORM))


def _failed_rollout(record: DeploymentRecord, work: Work) -> Incident | None:
    what = record.version or record.commit[:8]
    case = Case(
        service=record.service,
        environment=record.environment,
        trigger=Trigger.ROLLOUT,
        words=f"the rollout of {what} failed: {record.message}",
        at=record.finished_at,
        digest=record.digest,
        judgements=record.judgements,
        evidence={f"{p.pod}: {p.reason}": p.message for p in record.problems},
    )
    return acted(case, work)


def _release_back(
    first: Incident, record: DeploymentRecord, environment: Environment, work: Work
) -> tuple[Incident, ...]:
    """What the same run brought before, last wave first."""
    brought = [
        last
        for name in work.catalog.services
        if (last := _brought_by(record.run_id, name, environment, work)) is not None
    ]
    order = waves((work.catalog.services[one.service] for one in brought), work.catalog.services)
    named = {one.service: one for one in brought}
    backwards = [named[name] for wave in reversed(order) for name in wave]
    return tuple(incident for last in backwards for incident in _taken_along(last, first, work))


def _taken_along(
    record: DeploymentRecord, first: Incident | None, work: Work
) -> tuple[Incident, ...]:
    """A service of a run whose release goes back, though nothing speaks against itself."""
    if first is None:
        return ()
    names = ", ".join(first.services)
    case = Case(
        service=record.service,
        environment=record.environment,
        trigger=Trigger.ROLLOUT,
        words=f"its release goes back with {names} (incident {first.id})",
        at=work.now(),
        digest=record.digest,
    )
    incident = acted(case, work)
    return (incident,) if incident else ()


def _failed_sibling(
    record: DeploymentRecord, environment: Environment, work: Work
) -> Incident | None:
    """A rollout of the same run that failed and went back, before this one had come to its end."""
    if not record.run_id:
        return None
    known: Iterable[Incident] = work.history.incidents(environment.name, limit=REMEMBERED)
    return next(
        (
            one
            for one in known
            if one.run_id == record.run_id
            and one.trigger is Trigger.ROLLOUT
            and one.action is Action.AUTOMATIC
        ),
        None,
    )


def _brought_by(
    run_id: str, name: str, environment: Environment, work: Work
) -> DeploymentRecord | None:
    records = work.history.deployments(name, environment.name, limit=1)
    if not records or not run_id or records[0].run_id != run_id:
        return None
    (last,) = records
    went = last.method is Method.ROLLOUT and last.outcome is Outcome.SUCCESS
    return last if went and last.changed else None


def _failed_canary(record: DeploymentRecord, environment: Environment, work: Work) -> Incident:
    """The service itself was never touched: what is left to do is the hold, and telling people."""
    what, now = record.version or record.commit[:8], work.now()
    words = f"{what}: {record.message}"
    case = Case(record.service, record.environment, Trigger.CANARY, words, now, record.digest)
    past = past_of(case, work.history)
    runs = last_success(past.records)
    new = begun(case, record.digest, None, now)
    incident = replace(
        new,
        action=Action.AUTOMATIC,
        state=IncidentState.ROLLED_BACK,
        why="the canary was taken away; the service itself was not touched",
        from_digest=record.digest,
        from_version=record.version,
        from_commit=record.commit,
        to_digest=record.previous_digest,
        to_version=runs.version if runs and runs.digest == record.previous_digest else None,
        judgements=record.judgements,
        evidence={f"{p.pod}: {p.reason}": p.message for p in record.problems},
        hold_id=free_hold_id(new.id, past),
        run_id=record.run_id,
    )
    incident = replace(incident, told=alarms.whom(incident, work.catalog))
    incident = save(with_words(incident, now, words, incident.why), work.history)
    place_hold(incident, environment, work)
    tell(alarms.opened(incident, environment), work)
    return incident
