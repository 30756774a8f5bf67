"""Canary: a share of a service on the new image, judged beside the rest, before the rest follows.

One lease is held from its creation to the end of the rollout. The service's own Deployment is not
touched before the canary was judged, and never where it was found bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from flowmaster_delivery.flows.canary.steps import Steps
from flowmaster_delivery.flows.canary.trial import Standing, Trial
from flowmaster_delivery.flows.canary_removal import remove, take_away
from flowmaster_delivery.flows.changing import bring, bring_under
from flowmaster_delivery.flows.goal import Done, Pace
from flowmaster_delivery.flows.leasing import (
    LEASE_SECONDS,
    Grip,
    held,
    patiently,
    stop_if_overtaken,
)
from flowmaster_delivery.model.canary import Canary, Traffic
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import NotFound, Refused, Superseded, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Lease, Workload
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.policy.canary import expiry, is_left_over, lost, wants_canary
from flowmaster_delivery.policy.canary_marks import Ending, read_ending
from flowmaster_delivery.ports import Cluster, Ports

JANITOR = "flowmaster-janitor"


def try_out(trial: Trial) -> Done:
    """Bring the goal by canary, or plainly where there is nothing to compare with.

    Raise Refused where another run holds the lease, and what the outside raises as long as nothing
    was written.
    """
    cluster, pace, goal = trial.cluster, trial.pace, trial.goal
    found = patiently(cluster.canaries, pace, goal.seconds).get(goal.service.workload_name)
    if found is None:
        stable = patiently(lambda: cluster.workload(goal.service), pace, goal.seconds)
        ending = _lost(trial, stable)
        if ending:
            return _told(ending, goal.service)
        if not wants_canary(stable, goal.service.container_name, goal.reference):
            return bring(goal, cluster, trial.draft.run_id, pace, trial.still_admitted)
    with held(goal.service, cluster, trial.draft.run_id, pace) as lease:
        try:
            return _under(lease, trial)
        except Superseded as error:
            return Done(Outcome.INCONCLUSIVE, str(error), token=lease.token)


def _under(lease: Lease, trial: Trial) -> Done:
    """All is read again: whoever had the lease before may have gone on meanwhile."""
    cluster, goal = trial.cluster, trial.goal
    grip = Grip(goal.service, cluster, lease, trial.pace, goal.seconds)
    found = grip.patiently(cluster.canaries).get(goal.service.workload_name)
    try:
        stable = grip.patiently(lambda: cluster.workload(goal.service))
    except NotFound:
        if found is not None:
            take_away(grip, found)
        raise
    stop_if_overtaken(stable, lease)
    if found is not None:
        stop_if_overtaken(found, lease)
    canary = canary_marks.read(found.annotations) if found else None
    if found is not None and is_left_over(canary, trial.draft.digest, trial.pace.now()):
        take_away(grip, found)
        found = canary = None
    if found is None or canary is None:
        return _begun(trial, grip, stable)
    return _followed(Standing(trial, grip, found, _within(canary, trial)), stable)


def _begun(trial: Trial, grip: Grip, stable: Workload) -> Done:
    """A new canary, where there is something to compare it with."""
    ending = _lost(trial, stable)
    if ending:
        return _told(ending, grip.service)
    if not wants_canary(stable, grip.service.container_name, trial.goal.reference):
        return bring_under(grip.lease, trial.goal, trial.cluster, trial.pace, trial.still_admitted)
    closed = trial.still_admitted()
    if closed:
        said = f"no canary was made, its gate has closed: {closed}"
        return Done(Outcome.INCONCLUSIVE, said, token=grip.lease.token, changed=False)
    now = trial.pace.now()
    canary = Canary(
        digest=trial.draft.digest,
        run_id=trial.draft.run_id,
        token=grip.lease.token,
        started_at=now,
        expires_at=expiry(trial.rule, trial.environment.rollout_timeout, now),
        weighted=_is_weighted(trial, grip),
        version=trial.draft.version,
    )
    return _followed(Standing(trial, grip, _made(canary, trial, grip), canary), stable)


def _made(canary: Canary, trial: Trial, grip: Grip) -> Workload:
    """Nothing fences off a creation: whoever took over meanwhile saw no canary to take away."""
    found = grip.patiently(
        lambda: trial.cluster.create_canary(
            grip.service,
            trial.goal.reference,
            pods=trial.rule.steps[0].pods,
            annotations=canary_marks.marks(canary),
            weighted=canary.weighted,
        )
    )
    try:
        grip.renew()
    except Superseded:
        remove(grip, found)
        raise
    return found


def _followed(state: Standing, stable: Workload) -> Done:
    """To its end. From here on something was written: no answer is an outcome of its own."""
    try:
        state.mark(run_id=state.trial.draft.run_id)
        return Steps(state, stable).run()
    except Transient as error:
        return Done(
            Outcome.ERROR,
            f"the canary of {stable.name} stands where it stood: {error}; run it again",
            token=state.grip.lease.token,
            judgements=tuple(state.judgements),
        )


def _within(canary: Canary, trial: Trial) -> Canary:
    """The catalog may have fewer steps than when the canary began: then its last one begins."""
    last = len(trial.rule.steps) - 1
    return canary if canary.step <= last else replace(canary, step=last, step_began=None)


def _is_weighted(trial: Trial, grip: Grip) -> bool:
    """Whether a route makes the share; asked before anything is made, by taking back nothing."""
    if trial.rule.traffic is Traffic.PODS:
        return False
    led = grip.patiently(lambda: trial.cluster.weigh(grip.service, 0)) is not None
    if trial.rule.traffic is Traffic.ROUTE and not led:
        raise Refused(
            f"no HTTPRoute leads to {grip.service.name}, and its canary in "
            f"{trial.environment.name} gets its share by route; create one, or set "
            "`traffic: auto` in the catalog"
        )
    return led


def _lost(trial: Trial, stable: Workload) -> Ending | None:
    """How the canary of this image ended, where whoever saw it was killed before saying so."""
    ending = read_ending(stable.annotations)
    if ending is None or ending.digest != trial.draft.digest:
        return None
    draft = trial.draft
    history = trial.ports.history
    records = history.deployments(draft.service, draft.environment, limit=20)
    held_by = {hold.id for hold in history.holds()}
    incidents = history.incidents(draft.environment, limit=50)
    return lost(ending, draft.digest, records, (i for i in incidents if i.hold_id in held_by))


def _told(ending: Ending, service: Service) -> Done:
    said = f"canary of {service.name}: {ending.words}"
    return Done(ending.outcome, said, token=ending.token, changed=False)


def sweep(
    environment: Environment, catalog: Catalog, ports: Ports, now: datetime
) -> tuple[str, ...]:
    """Take away the canaries that have expired and that no living run holds; what was done, in
    words."""
    services = {
        service.workload_name: service
        for service in catalog.services.values()
        if service.kind is Kind.DEPLOYMENT
    }
    cluster = ports.cluster(environment)
    found = [(services[n], one) for n, one in cluster.canaries().items() if n in services]
    return tuple(_swept(found, cluster, now))


def _swept(
    found: Iterable[tuple[Service, Workload]], cluster: Cluster, now: datetime
) -> Iterator[str]:
    for service, workload in found:
        canary = canary_marks.read(workload.annotations)
        if canary is not None and now < canary.expires_at:
            continue
        try:
            lease = cluster.acquire(service.name, JANITOR, preempt=False, ttl=LEASE_SECONDS)
        except Refused:
            continue
        try:
            take_away(Grip(service, cluster, lease, Pace(lambda: now), 0.0), workload)
        finally:
            cluster.release(lease)
        what = f", left by run {canary.run_id}" if canary else ""
        yield f"the expired canary of {service.name}{what} was taken away"
