"""Carrying an incident out: the hold, the way back, and what came of it.

Every step finds what an earlier one left, so that a process that is killed anywhere is continued by
the next one: intent (the incident), hold, cluster, deployment record, end (the incident again).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from flowmaster_delivery.flows.incidents import alarms
from flowmaster_delivery.flows.incidents.opening import REMEMBERED, save, tell, with_words
from flowmaster_delivery.flows.leasing import LEASE_SECONDS
from flowmaster_delivery.flows.rollback import LOOKED_BACK, check_kind, roll_back
from flowmaster_delivery.flows.telling import deployed
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    NotFound,
    Permanent,
    Refused,
    Transient,
)
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import EVERY_SERVICE, Hold
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, last_success
from flowmaster_delivery.policy.deeds.naming import PLATFORM
from flowmaster_delivery.policy.incident_report import report

ORPHANED = timedelta(seconds=30)
"""Without a word for so long nobody may be at it; whether somebody is, the lease tells."""


def take_back(incident: Incident, work: Work, *, preempt: bool = True) -> Incident:
    """Carry out what was decided, from wherever it stands; the incident as it stands afterwards.

    An answer that could not be had leaves it as it is: it is carried on later (`resume`).
    """
    done = rolled_back(incident, work)
    if done is None:
        by = overtaken_by(incident, work)
        if by is not None:
            return _left(incident, f"overtaken: {by.asked_by} brought {_named(by)}", work)
        try:
            done = carry_out(incident, work, preempt=preempt)
        except (Transient, Denied) as error:  # we may not ask: neither failure nor success
            return _delayed(incident, str(error), work)
        except DeliveryError as error:
            return _fail(incident, str(error), work)
        if done.outcome is Outcome.ERROR:
            return _delayed(incident, done.message, work)
        work.history.record(done, shown=report(incident))
    closed = close(incident, done, work)
    if closed.state is IncidentState.ROLLED_BACK:
        _tell_gitlab(done, work)
    return closed


def carry_out(incident: Incident, work: Work, *, preempt: bool = True) -> DeploymentRecord:
    """Hold the service and bring the image back; the record of what was done, not yet written.

    The hold stands before the cluster is touched: a rollback that is killed halfway must not be
    undone by the next automatic rollout.
    """
    service = work.catalog.service(incident.services[0])
    environment = work.catalog.environment(incident.environment)
    check_kind(service)
    back = _back(incident, work)
    place_hold(incident, environment, work)
    asked = replace(work.asked, reason=work.asked.reason or incident.reason)
    done = roll_back(
        back,
        service,
        environment,
        replace(work, asked=asked),
        preempt=preempt,
        method=incident.method,
    )
    if done.outcome is Outcome.SUCCESS and incident.from_digest not in (None, done.digest):
        # Killed and continued it finds its own patch; that changed something all the same.
        return replace(done, changed=True, previous_digest=incident.from_digest)
    return done


def carried_out(incident: Incident, work: Work) -> DeploymentRecord:
    """`carry_out` for a person, who hears of an error at once: nothing is left half-open."""
    try:
        return carry_out(incident, work)
    except Permanent as error:
        _left(incident, f"nothing was changed: {error}", work)
        raise


def close(incident: Incident, done: DeploymentRecord, work: Work) -> Incident:
    """What came of it, on record and told; commits are read last, since nothing waits for them."""
    if done.outcome is Outcome.FAILURE:
        return _fail(incident, done.message, work)
    if done.outcome is Outcome.ERROR:
        return _delayed(incident, done.message, work)
    if done.outcome is Outcome.INCONCLUSIVE:
        now_at_it = _again(incident, work)
        if now_at_it.run_id != incident.run_id:
            return now_at_it
        return _left(incident, done.message, work)
    words = f"brought back to {_named(done)}: {done.message}"
    closed = replace(incident, state=IncidentState.ROLLED_BACK)
    closed = save(with_words(closed, work.now(), words), work.history)
    told = deployed(done, work.catalog.environment(incident.environment))
    if told:
        tell(told, work)
    return _with_commits(closed, done, work)


def resume(environment: Environment, incidents: tuple[Incident, ...], work: Work) -> None:
    """Carry on what is being rolled back with nobody at it."""
    for incident in incidents:
        quiet = work.now() - incident.updated_at >= ORPHANED
        if incident.state is IncidentState.ROLLING_BACK and quiet:
            _resume(incident, environment, work)


def _resume(incident: Incident, environment: Environment, work: Work) -> None:
    """Ours is the lease from here on, so that it is not waited for, and nobody else begins."""
    cluster, holder = work.ports.cluster(environment), work.asked.run_id
    try:
        cluster.acquire(incident.services[0], holder, preempt=False, ttl=LEASE_SECONDS)
    except (Refused, Denied, Transient):
        return
    incident = _again(incident, work)
    if incident.state is IncidentState.ROLLING_BACK:
        taken = replace(incident, run_id=holder)
        words = "whoever was at it is gone: carried on"
        take_back(save(with_words(taken, work.now(), words), work.history), work, preempt=False)


def place_hold(incident: Incident, environment: Environment, work: Work) -> None:
    """Once per incident, however often it is carried on; not again where a person released it.

    Where commits arrive by themselves only the bad source is held: the next one may mend it.
    """
    if any(hold.id == incident.hold_id for hold in work.history.holds()):
        return
    name = incident.services[0]
    what = incident.to_version or (incident.to_digest or "")[:19]
    said = f"rollback to {what}: {incident.reason}"
    fingerprint = _fingerprint(incident, work) if environment.automatic else ""
    work.history.record(
        Hold(
            id=incident.hold_id,
            service=name,
            environment=environment.name,
            author=work.asked.by,
            reason=incident.reason if incident.trigger is Trigger.CANARY else said,
            at=work.now(),
            fingerprint=fingerprint,
        )
    )


def rolled_back(incident: Incident, work: Work) -> DeploymentRecord | None:
    """The rollback of this incident, where it is on record already."""
    return next(
        (
            record
            for record in _records(incident, work)
            if record.method is Method.ROLLBACK
            and record.digest == incident.to_digest
            and record.started_at >= incident.opened_at
            and record.outcome is not Outcome.ERROR
        ),
        None,
    )


def overtaken_by(incident: Incident, work: Work) -> DeploymentRecord | None:
    """What somebody brought since the incident was opened: that stands."""
    last = last_success(_records(incident, work))
    if last is None or not last.changed or last.finished_at <= incident.opened_at:
        return None
    return last if last.digest not in (incident.from_digest, incident.to_digest) else None


def _fail(incident: Incident, words: str, work: Work) -> Incident:
    """Automation stops: the environment is held until a person releases it."""
    now, environment = work.now(), incident.environment
    hold = Hold(
        id=f"{incident.id}-all",
        service=EVERY_SERVICE,
        environment=environment,
        author=PLATFORM,
        reason=f"the rollback of {incident.services[0]} failed (incident {incident.id}): {words}",
        at=now,
    )
    if not any(known.id == hold.id for known in work.history.holds()):
        work.history.record(hold)
    failed = replace(incident, state=IncidentState.FAILED, failed=True, hold_id=hold.id)
    said = f"the rollback failed: {words}", f"{environment} is held as a whole: {hold.id}"
    saved = save(with_words(failed, now, *said), work.history)
    tell(alarms.failed(saved, words, now), work)
    return saved


def _delayed(incident: Incident, words: str, work: Work) -> Incident:
    """Said once; the cluster being away is told by every look."""
    said = "the cluster gives no answer; it is carried on when it does"
    if any(moment.words.startswith(said) for moment in incident.timeline):
        return incident
    waiting = save(with_words(incident, work.now(), f"{said}: {words}"), work.history)
    tell(alarms.delayed(waiting, words, work.now()), work)
    return waiting


def _left(incident: Incident, words: str, work: Work) -> Incident:
    state = IncidentState.FAILED if incident.failed else IncidentState.LEFT
    left = replace(incident, state=state)
    return save(with_words(left, work.now(), words), work.history)


def _again(incident: Incident, work: Work) -> Incident:
    """As it is on record now; somebody else may have gone on with it."""
    known = work.history.incidents(incident.environment, limit=REMEMBERED)
    return next((one for one in known if one.id == incident.id), incident)


def _with_commits(incident: Incident, done: DeploymentRecord, work: Work) -> Incident:
    """What was in it, where GitLab answers."""
    if not (incident.from_commit and done.commit) or incident.from_commit == done.commit:
        return incident
    service = work.catalog.service(done.service)
    repository = work.catalog.repository(service.repository)
    try:
        commits = work.ports.forge.commits_between(
            repository, done.commit, incident.from_commit, service.paths
        )
    except DeliveryError:
        return incident
    return save(replace(incident, commits=commits), work.history) if commits else incident


def _tell_gitlab(done: DeploymentRecord, work: Work) -> None:
    """So that its pages are right too, where it answers; people's runs are reported by a sensor."""
    repository = work.catalog.repository(work.catalog.service(done.service).repository)
    environment, ref = work.catalog.environment(done.environment), done.version or repository.main
    if done.commit:
        with suppress(DeliveryError):
            work.ports.forge.record_deployment(repository, environment, done.commit, ref, "success")


def _back(incident: Incident, work: Work) -> DeploymentRecord:
    for record in _records(incident, work):
        if record.digest == incident.to_digest and record.outcome is Outcome.SUCCESS:
            return replace(record, version=incident.to_version or record.version)
    raise NotFound(
        f"{incident.services[0]} was never deployed with {incident.to_digest} in "
        f"{incident.environment}; name a version: flowmaster rollback"
    )


def _fingerprint(incident: Incident, work: Work) -> str:
    found = (r for r in _records(incident, work) if r.digest == incident.from_digest)
    return next((record.fingerprint for record in found), "")


def _records(incident: Incident, work: Work) -> tuple[DeploymentRecord, ...]:
    return work.history.deployments(incident.services[0], incident.environment, limit=LOOKED_BACK)


def _named(record: DeploymentRecord) -> str:
    return record.version or record.digest[:19]
