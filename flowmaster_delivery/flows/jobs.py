"""Jobs (migrations): run once per image, to their end, before what depends on them."""

from __future__ import annotations

from flowmaster_delivery.flows.goal import Done, Pace
from flowmaster_delivery.flows.leasing import LEASE_SECONDS, held
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import Superseded, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Phase,
    Progress,
)
from flowmaster_delivery.ports import Cluster, Lease, Ports


def run_once(
    draft: DeploymentRecord,
    service: Service,
    environment: Environment,
    catalog: Catalog,
    ports: Ports,
    pace: Pace,
) -> Done:
    """Run the Job of this digest, or await the one that runs. A failed one is not run again by
    itself: half a migration is for people to look at."""
    cluster = ports.cluster(environment)
    name = job_name(service, draft.digest)
    reference = catalog.reference(service, draft.digest)
    seconds = environment.rollout_timeout.total_seconds()
    with held(service, cluster, draft.run_id, pace) as lease:
        pace.on_progress(Progress(Phase.WAITING, f"job {name} runs"))
        try:
            succeeded, said = _await(service, reference, name, seconds, cluster, lease, pace)
        except Transient as error:
            return Done(Outcome.ERROR, f"job {name}: {error}", token=lease.token)
        except Superseded as error:
            return Done(Outcome.INCONCLUSIVE, str(error), token=lease.token)
    if succeeded:
        return Done(Outcome.SUCCESS, f"job {name} succeeded", token=lease.token)
    remedy = f"mend it, then delete job {name} to let it run again"
    return Done(Outcome.FAILURE, f"job {name} failed: {said}; {remedy}", token=lease.token)


def _await(
    service: Service,
    reference: str,
    name: str,
    seconds: float,
    cluster: Cluster,
    lease: Lease,
    pace: Pace,
) -> tuple[bool, str]:
    """In parts, so that the lease is renewed between them."""
    end = pace.monotonic() + seconds
    while True:
        left = max(0.0, end - pace.monotonic())
        try:
            return cluster.run_job(service, reference, name, min(left, LEASE_SECONDS / 3))
        except Transient:
            if pace.monotonic() >= end or pace.cancelled():
                raise
            pace.sleep(0.1)
            cluster.renew(lease, LEASE_SECONDS)


def job_name(service: Service, digest: str) -> str:
    """One Job per image: the same digest is the same run."""
    return f"{service.workload_name}-{digest.removeprefix('sha256:')[:12]}"
