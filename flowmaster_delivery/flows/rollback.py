"""Rollback: back to what was verified before, or to a version that a person names.

Asks neither registry nor GitLab nor soak: the way back must be open when those are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flowmaster_delivery.flows import holds
from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Asked, Clock, Pace
from flowmaster_delivery.flows.rollout import completed, deployment_goal, drafted
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import NotFound, Refused, UnknownName
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
    Progress,
)
from flowmaster_delivery.policy.rollback import verified_before
from flowmaster_delivery.ports import History, Ports

PREVIOUS = "previous"
LOOKED_BACK = 200
"""Deployments of a service that are looked at for a way back."""
OBSERVATIONS = 1000


def target(
    service: Service, environment: Environment, to: str, history: History
) -> DeploymentRecord:
    """The record to go back to: `previous`, or a version that was deployed here with success.

    Raise NotFound where there is no verified way back, UnknownName with the versions there are.
    """
    records = history.deployments(service.name, environment.name, limit=LOOKED_BACK)
    if to.strip() in ("", PREVIOUS):
        return _previous(service, environment, records, history)
    version = to.rpartition("@")[2]
    digests = {r.digest for r in records if r.version == version}
    admitted = history.admissions(service.name, environment.name, limit=LOOKED_BACK)
    digests |= {
        a.candidate.digest
        for a in admitted
        if a.ship and a.candidate.version == version and a.candidate.digest
    }
    for record in records:
        if record.outcome is Outcome.SUCCESS and record.digest in digests:
            return replace(record, version=version)
    known = [r.version for r in records if r.version and r.outcome is Outcome.SUCCESS]
    raise UnknownName(f"version of {service.name} deployed in {environment.name}", version, known)


def roll_back(
    service: Service,
    environment: Environment,
    to: str,
    catalog: Catalog,
    ports: Ports,
    *,
    run_id: str,
    asked_by: str,
    reason: str,
    now: Clock,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> DeploymentRecord:
    """Take over from whatever changes the service, bring back the target, and hold the service.

    The hold stands before the cluster is touched: a rollback that is killed halfway must not be
    undone by the next automatic rollout.
    """
    if service.kind is not Kind.DEPLOYMENT:
        raise Refused(
            f"{service.name} is of kind {service.kind}, which has no way back by itself; "
            "ship a version that mends it"
        )
    back = target(service, environment, to, ports.history)
    pace = Pace(now, on_progress, cancelled)
    draft = drafted(Method.ROLLBACK, back, back.digest, Asked(run_id, asked_by, reason), now())
    _hold(draft, service, environment, ports.history)
    goal = deployment_goal(draft, service, environment, catalog, preempt=True)
    return completed(draft, bring(goal, ports.cluster(environment), run_id, pace), pace)


def _previous(
    service: Service,
    environment: Environment,
    records: tuple[DeploymentRecord, ...],
    history: History,
) -> DeploymentRecord:
    seen = history.observations(service.name, environment.name, limit=OBSERVATIONS)
    healthy = {o.digest for o in seen if o.state is HealthState.HEALTHY and o.digest}
    known_since = seen[-1].at if len(seen) == OBSERVATIONS else None
    verifications = history.verifications(service.name, environment.name, limit=LOOKED_BACK)
    found = verified_before(records, verifications, healthy, known_since)
    if found is None:
        raise NotFound(
            f"{service.name} has no verified earlier image in {environment.name}; name a version "
            "(--to vX.Y.Z), or ship one that mends it"
        )
    return found


def _hold(
    draft: DeploymentRecord, service: Service, environment: Environment, history: History
) -> None:
    """Once per rollback, however often its run is repeated."""
    what = draft.version or draft.digest[:19]
    why = f"rolled back to {what}" + (f": {draft.reason}" if draft.reason else "")
    standing = holds.active(history, environment.name)
    same = [
        h
        for h in standing
        if (h.service, h.author, h.reason) == (service.name, draft.asked_by, why)
    ]
    if not same:
        holds.place(service, environment, draft.asked_by, why, history, draft.started_at)
