"""Jobs: run once per image, to their end, before what depends on them. Migrations are recorded.

A migration is on record before its Job begins and again when it has ended, so that a run that was
killed in between is seen, and the next one awaits the same Job instead of beginning another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowmaster_delivery.flows.goal import Done, Pace
from flowmaster_delivery.flows.leasing import LEASE_SECONDS, held
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import Refused, Superseded, Transient
from flowmaster_delivery.model.migration import Direction, Migration, MigrationRecord
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Phase,
    Progress,
)
from flowmaster_delivery.policy.migrations import Go, Nothing, half_done, mending, step
from flowmaster_delivery.ports import Cluster, Lease


def _nothing_more() -> None:
    return None


def run_once(
    draft: DeploymentRecord,
    service: Service,
    environment: Environment,
    work: Work,
) -> Done:
    """Run the Job of this digest, or await the one that runs. A failed one is not run again by
    itself: half a job is for people to look at."""
    cluster, name = work.ports.cluster(environment), job_name(service, draft.digest)
    with held(service, cluster, draft.run_id, work.pace) as lease:
        job = _Job(service, work.catalog.reference(service, draft.digest), name)
        found = _ended(job, environment, cluster, lease, work.pace)
        if isinstance(found, Done):
            return found
    succeeded, said = found
    if succeeded:
        return Done(Outcome.SUCCESS, f"job {name} succeeded", token=lease.token)
    remedy = f"mend it, then delete job {name} to let it run again"
    return Done(Outcome.FAILURE, f"job {name} failed: {said}; {remedy}", token=lease.token)


def carry_out(
    migration: Migration,
    direction: Direction,
    environment: Environment,
    work: Work,
    *,
    on_success: Callable[[], None] = _nothing_more,
) -> Done:
    """Bring a schema from one version to the next, or back: once, under the lease of its job.

    `on_success` is called before the success is on record, and again where a run was killed just
    then. Raise Refused where the schema is elsewhere, where what was done last is only half done,
    or where another run is at it; nothing has been touched then.
    """
    service, cluster = work.catalog.service(migration.job), work.ports.cluster(environment)
    with held(service, cluster, work.asked.run_id, work.pace) as lease:
        records = work.history.migrations(service.name, environment.name)
        may = step(migration, direction, records)
        if isinstance(may, str):
            raise Refused(f"{service.name} in {environment.name}: {may}")
        if isinstance(may, Nothing):
            words = f"the schema of {service.name} is at {may.version} already"
            return Done(Outcome.SUCCESS, words, token=lease.token, changed=False)
        if not may.begun:
            begun = _record(migration, direction, Outcome.INCONCLUSIVE, "", environment, work)
            work.history.record(begun)
        reference = work.catalog.reference(service, migration.digest)
        command = migration.up if direction is Direction.UP else migration.down
        job = _Job(service, reference, migration_name(service, migration, direction, may), command)
        found = _ended(job, environment, cluster, lease, work.pace)
        if isinstance(found, Done):
            return found
        outcome = Outcome.SUCCESS if found[0] else Outcome.FAILURE
        if outcome is Outcome.SUCCESS:
            on_success()
        ended = _record(migration, direction, outcome, found[1], environment, work)
        work.history.record(ended)
        return Done(outcome, _said(ended), token=lease.token)


def _record(
    migration: Migration,
    direction: Direction,
    outcome: Outcome,
    message: str,
    environment: Environment,
    work: Work,
) -> MigrationRecord:
    by, run = work.asked.by, work.asked.run_id
    return MigrationRecord(
        migration, environment.name, direction, outcome, work.now(), by, run, message
    )


def _said(ended: MigrationRecord) -> str:
    if ended.outcome is Outcome.FAILURE:
        return f"{half_done(ended)}; {mending(ended)}"
    how = "went back to" if ended.direction is Direction.DOWN else "is at"
    return f"the schema of {ended.migration.job} {how} {ended.version}"


class _Job:
    """What is run: the image with a command, under a name of its own."""

    def __init__(
        self, service: Service, reference: str, name: str, command: Sequence[str] = ()
    ) -> None:
        self.service, self.reference, self.name = service, reference, name
        self.command = tuple(command)


def _ended(
    job: _Job, environment: Environment, cluster: Cluster, lease: Lease, pace: Pace
) -> tuple[bool, str] | Done:
    """Whether the Job succeeded, with its last words; or that this run cannot tell."""
    pace.on_progress(Progress(Phase.WAITING, f"job {job.name} runs"))
    seconds = environment.rollout_timeout.total_seconds()
    try:
        found = _await(job, seconds, cluster, lease, pace)
        cluster.renew(lease, LEASE_SECONDS)
    except Transient as error:
        return Done(Outcome.ERROR, f"job {job.name}: {error}", token=lease.token)
    except Superseded as error:
        return Done(Outcome.INCONCLUSIVE, str(error), token=lease.token)
    return found


def _await(
    job: _Job, seconds: float, cluster: Cluster, lease: Lease, pace: Pace
) -> tuple[bool, str]:
    """In parts, so that the lease is renewed between them."""
    end = pace.monotonic() + seconds
    while True:
        part = min(max(0.0, end - pace.monotonic()), LEASE_SECONDS / 3)
        try:
            return cluster.run_job(job.service, job.reference, job.name, part, job.command)
        except Transient:
            if pace.monotonic() >= end or pace.cancelled():
                raise
            pace.sleep(0.1)
            cluster.renew(lease, LEASE_SECONDS)


def job_name(service: Service, digest: str) -> str:
    """One Job per image: the same digest is the same run."""
    return f"{service.workload_name}-{digest.removeprefix('sha256:')[:12]}"


def migration_name(service: Service, migration: Migration, direction: Direction, may: Go) -> str:
    """One Job per image and direction, until it has ended and is run once more."""
    again = f"-{may.attempt + 1}" if may.attempt else ""
    return f"{job_name(service, migration.digest)}-{direction}{again}"
