"""Rollback: back to what was verified before, or to a version that a person names.

Asks neither registry nor GitLab nor soak: the way back must be open when those are not. Intent and
hold are put on record before (`flows.incidents.taking_back`).
"""

from __future__ import annotations

from dataclasses import replace

from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.migrations import way_back
from flowmaster_delivery.flows.rollout import completed, deployment_goal, drafted
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import NotFound, Refused, UnknownName
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import RollbackMethod
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.releases import of_last_release, of_release, that_ran
from flowmaster_delivery.policy.rollback import verified_before
from flowmaster_delivery.ports import History

PREVIOUS = "previous"
LOOKED_BACK = 200
"""Deployments of a service that are looked at for a way back."""
OBSERVATIONS = 1000
RECENT = 20
"""Deployments of every service that are looked at for who came together."""


def going_back(
    services: tuple[str, ...],
    to: str,
    method: RollbackMethod | None,
    environment: Environment,
    catalog: Catalog,
    history: History,
) -> tuple[str, ...]:
    """The services that a rollback is about. Without names: those of the last release, or all that
    ran the version; by the method `release` with all that came with each of them.

    Raise Refused where there is none.
    """
    if services and method is not RollbackMethod.RELEASE:
        return services
    recorded = {
        name: history.deployments(name, environment.name, limit=RECENT) for name in catalog.services
    }
    version = to.strip()
    found = services or (
        of_last_release(recorded) if version in ("", PREVIOUS) else that_ran(version, recorded)
    )
    if not found:
        raise Refused(
            f"no service of {environment.name} ever ran {to}; name services with --service"
        )
    if method is RollbackMethod.RELEASE:
        every = (name for service in found for name in of_release(service, recorded))
        found = tuple(dict.fromkeys([*found, *every]))
    return found


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


def verified(
    service: str,
    environment: str,
    records: tuple[DeploymentRecord, ...],
    history: History,
    leaving: str | None = None,
) -> DeploymentRecord | None:
    """The last verified image other than `leaving`; None where there is no way back by itself."""
    seen = history.observations(service, environment, limit=OBSERVATIONS)
    healthy = {o.digest for o in seen if o.state is HealthState.HEALTHY and o.digest}
    known_since = seen[-1].at if len(seen) == OBSERVATIONS else None
    verifications = history.verifications(service, environment, limit=LOOKED_BACK)
    return verified_before(records, verifications, healthy, known_since, leaving)


def roll_back(
    back: DeploymentRecord,
    service: Service,
    environment: Environment,
    work: Work,
    *,
    preempt: bool = True,
    method: RollbackMethod | None = None,
) -> DeploymentRecord:
    """Take over from whatever changes the service and bring the image back; what came of it.

    The schema goes as far as `method` says, as little as possible where None. Raise Refused where
    there is no way back, NoWayBack where the schema closes it, and what the cluster raises before
    anything is written. With `preempt` false somebody who is at it is not disturbed.
    """
    check_kind(service)
    asked, pace = work.asked, work.pace
    draft = drafted(Method.ROLLBACK, back, back.digest, asked, pace.now())
    reach = None if method is RollbackMethod.RELEASE else method
    plans = way_back.planned_back(service, back, reach, environment, work)
    stopped = way_back.before(plans, environment, work)
    if stopped is not None:
        return completed(draft, replace(stopped, changed=False), pace)
    goal = deployment_goal(draft, service, environment, work.catalog, preempt=preempt)
    done = bring(goal, work.ports.cluster(environment), asked.run_id, pace)
    if done.outcome is Outcome.SUCCESS:
        late = way_back.after(plans, service, back, environment, work)
        if late is not None:  # the image is back all the same
            done = replace(done, message=f"{done.message}; {late.message}")
    return completed(draft, done, pace)


def check_kind(service: Service) -> None:
    """Raise Refused where nothing can be brought back by itself."""
    if service.kind is not Kind.DEPLOYMENT:
        raise Refused(
            f"{service.name} is of kind {service.kind}, which has no way back by itself; "
            "ship a version that mends it"
        )


def _previous(
    service: Service,
    environment: Environment,
    records: tuple[DeploymentRecord, ...],
    history: History,
) -> DeploymentRecord:
    found = verified(service.name, environment.name, records, history)
    if found is None:
        raise NotFound(
            f"{service.name} has no verified earlier image in {environment.name}; name a version "
            "(--to vX.Y.Z), or ship one that mends it"
        )
    return found
