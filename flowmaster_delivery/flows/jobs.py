"""Jobs (migrations): run once per image, to their end, before what depends on them."""

from __future__ import annotations

from contextlib import suppress

from flowmaster_delivery.flows.goal import Done, Pace
from flowmaster_delivery.flows.waiting import LEASE_SECONDS
from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import DeliveryError, Transient
from flowmaster_delivery.model.rollout import DeploymentRecord, Outcome, Phase, Progress
from flowmaster_delivery.ports import Ports


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
    seconds = environment.rollout_timeout.total_seconds()
    lease = cluster.acquire(service.name, draft.run_id, preempt=False, ttl=seconds + LEASE_SECONDS)
    pace.on_progress(Progress(Phase.WAITING, f"job {name} runs"))
    try:
        reference = catalog.reference(service, draft.digest)
        succeeded, said = cluster.run_job(service, reference, name, seconds)
    except Transient as error:
        return Done(Outcome.ERROR, f"job {name}: {error}", token=lease.token)
    finally:
        with suppress(DeliveryError):
            cluster.release(lease)
    if succeeded:
        return Done(Outcome.SUCCESS, f"job {name} succeeded", token=lease.token)
    remedy = f"mend it, then delete job {name} to let it run again"
    return Done(Outcome.FAILURE, f"job {name} failed: {said}; {remedy}", token=lease.token)


def job_name(service: Service, digest: str) -> str:
    """One Job per image: the same digest is the same run."""
    return f"{service.workload_name}-{digest.removeprefix('sha256:')[:12]}"
