"""Rollout: bring one service's admitted candidate to the cluster, by digest.

The gate is not asked here: whoever calls has asked it at this moment (`flows.entry`). What goes
wrong on the cluster comes back as a record with its outcome; the caller puts it on record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from flowmaster_delivery.flows.canary.trial import Trial
from flowmaster_delivery.flows.canary.trying import try_out
from flowmaster_delivery.flows.changing import bring
from flowmaster_delivery.flows.goal import Asked, Done, Goal, Pace, StillAdmitted, always
from flowmaster_delivery.flows.manifests import apply_folder
from flowmaster_delivery.flows.measuring import judgements
from flowmaster_delivery.flows.migrations.fitting import declaration, fitting
from flowmaster_delivery.flows.migrations.jobs import carry_out, run_once
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import CanaryRule
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, Service
from flowmaster_delivery.model.errors import Refused
from flowmaster_delivery.model.migration import Direction
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
    Pod,
    last_success,
)
from flowmaster_delivery.policy.canary_marks import LAST
from flowmaster_delivery.ports import Ports

CHANGE_CAUSE = "kubernetes.io/change-cause"


def roll_out(
    candidate: Candidate,
    catalog: Catalog,
    ports: Ports,
    *,
    run_id: str,
    asked_by: str,
    reason: str,
    pace: Pace,
    still_admitted: StillAdmitted = always,
) -> DeploymentRecord:
    """Bring the candidate to its environment and wait for the end; the record of what was done.

    By canary where the environment asks for one; `still_admitted` is asked before each of its
    steps, and before the service itself is touched. Raise Refused where another run is at it, and
    what the outside raises before anything is written. Killed anywhere and called again, it goes on
    where the cluster stands.
    """
    if candidate.digest is None:
        raise Refused(f"{candidate.service} has no image to roll out; materialize its image first")
    work = Work(catalog, ports, Asked(run_id, asked_by, reason), pace)
    draft = drafted(Method.ROLLOUT, candidate, candidate.digest, work.asked, work.now())
    return _by_kind(draft, work, still_admitted)


def _by_kind(
    draft: DeploymentRecord, work: Work, still_admitted: StillAdmitted
) -> DeploymentRecord:
    """What bringing it there means for the kind of the service (design §9)."""
    catalog, ports, pace = work.catalog, work.ports, work.pace
    service = catalog.service(draft.service)
    environment = catalog.environment(draft.environment)
    match service.kind:
        case Kind.DEPLOYMENT:
            draft = replace(draft, schemas=fitting(service, draft.digest, environment, ports))
            goal = deployment_goal(draft, service, environment, catalog)
            rule = environment.safeguards_of(service).canary
            if rule is None:
                cluster = ports.cluster(environment)
                done = bring(goal, cluster, draft.run_id, pace, still_admitted)
            else:
                done = try_out(_trial(draft, goal, rule, environment, ports, pace, still_admitted))
        case Kind.JOB:
            done = _run_job(draft, service, environment, work)
        case Kind.MANIFESTS:
            done = apply_folder(draft, service, environment, catalog, ports, pace)
        case Kind.ARTIFACT:
            draft = replace(draft, method=Method.RELEASE)
            done = Done(Outcome.SUCCESS, f"{service.name} is released; it runs on no cluster")
    return completed(draft, _as_recorded(done, draft, ports), pace)


def _trial(
    draft: DeploymentRecord,
    goal: Goal,
    rule: CanaryRule,
    environment: Environment,
    ports: Ports,
    pace: Pace,
    still_admitted: StillAdmitted,
) -> Trial:
    return Trial(
        draft=draft,
        goal=replace(goal, annotations={**goal.annotations, LAST: None}),
        rule=rule,
        environment=environment,
        ports=ports,
        cluster=ports.cluster(environment),
        pace=pace,
        judge=_Figures(goal.service, rule, environment, ports, pace),
        still_admitted=still_admitted,
    )


@dataclass(frozen=True, slots=True)
class _Figures:
    """Judges a canary by the environment's figures, beside what runs already."""

    service: Service
    rule: CanaryRule
    environment: Environment
    ports: Ports
    pace: Pace

    def __call__(
        self, pods: tuple[Pod, ...], beside: tuple[Pod, ...], began: datetime
    ) -> tuple[Judgement, ...]:
        return judgements(
            self.rule.limits,
            self.service,
            self.environment,
            pods,
            self.ports,
            self.pace.now(),
            beside=beside,
            window_from=began,
        )


def _run_job(
    draft: DeploymentRecord,
    service: Service,
    environment: Environment,
    work: Work,
) -> Done:
    """A migration by what its image says of itself; any other job just once per image."""
    migration = declaration(service, draft.digest, work.ports.registry)
    if migration is None:
        return run_once(draft, service, environment, work)
    return carry_out(migration, Direction.UP, environment, work)


def drafted(
    method: Method,
    image: Candidate | DeploymentRecord,
    digest: str,
    asked: Asked,
    started: datetime,
) -> DeploymentRecord:
    """The record of a change that begins: of a candidate, or of what was brought there before."""
    return DeploymentRecord(
        service=image.service,
        environment=image.environment,
        method=method,
        outcome=Outcome.SUCCESS,
        digest=digest,
        previous_digest=None,
        fingerprint=image.fingerprint,
        commit=image.commit,
        started_at=started,
        finished_at=started,
        asked_by=asked.by,
        reason=asked.reason,
        version=image.version,
        run_id=asked.run_id,
        schemas=image.schemas if isinstance(image, DeploymentRecord) else (),
    )


def deployment_goal(
    draft: DeploymentRecord,
    service: Service,
    environment: Environment,
    catalog: Catalog,
    *,
    preempt: bool = False,
) -> Goal:
    """The image by digest, and the copy of the record that the cluster carries."""
    what = draft.version or draft.commit[:8]
    return Goal(
        service=service,
        reference=catalog.reference(service, draft.digest),
        annotations={
            "flowmaster.ai/run": draft.run_id,
            "flowmaster.ai/digest": draft.digest,
            "flowmaster.ai/version": draft.version,
            CHANGE_CAUSE: f"{draft.method} to {what} by {draft.asked_by}, run {draft.run_id}",
        },
        seconds=environment.rollout_timeout.total_seconds(),
        preempt=preempt,
    )


def completed(draft: DeploymentRecord, done: Done, pace: Pace) -> DeploymentRecord:
    """The record with what came of it."""
    return replace(
        draft,
        outcome=done.outcome,
        message=done.message,
        previous_digest=done.previous_digest,
        revision=done.revision,
        token=done.token,
        problems=done.problems,
        changed=done.changed,
        judgements=done.judgements,
        finished_at=pace.now(),
    )


def _as_recorded(done: Done, draft: DeploymentRecord, ports: Ports) -> Done:
    """What was there before, from the record where the cluster cannot tell.

    An image that is there already and never came on record was brought by a run that was killed
    before it could say so: that changed something all the same.
    """
    if done.previous_digest not in (None, draft.digest):
        return done
    records = ports.history.deployments(draft.service, draft.environment, limit=20)
    last = last_success(records)
    if last is None:
        return done
    found_there = done.previous_digest is not None and not done.changed
    done = replace(done, previous_digest=last.digest)
    if not found_there or done.outcome is not Outcome.SUCCESS or last.digest == draft.digest:
        return done
    return replace(done, changed=True, message=f"{done.message}; it was not on record yet")
