"""Leaving: what the platform made on the clusters beside its services is taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from flowmaster_delivery.model.catalog import Catalog, Environment, Service
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.rollout import watch_lease
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.ports import ClusterOf, LeasesOf, RunJobs


def leave(
    catalog: Catalog,
    cluster_of: ClusterOf,
    leases_of: LeasesOf,
    jobs: RunJobs | None,
    pods: Iterable[str] = (),
) -> Iterator[str]:
    """Runs end first, so that none of them makes anew what is taken away behind them.

    Yields what could not be taken away, in words; the rest is.
    """
    if jobs is not None:
        yield from _tried("the Jobs of runs", jobs.remove_all)
        yield from _tried("the pods of tests", partial(jobs.remove_pods, pods))
    for environment in catalog.environments.values():
        for service in catalog.services.values():
            if environment.safeguards_of(service).canary:
                what = f"the canary of {service.name} in {environment.name}"
                yield from _tried(what, partial(_end_canary, service, environment, cluster_of))
        yield from _tried(
            f"the leases of {environment.name}", partial(_forget, environment, catalog, leases_of)
        )


def _forget(environment: Environment, catalog: Catalog, leases_of: LeasesOf) -> None:
    leases_of(environment).forget((*catalog.services, watch_lease(environment.name)))


def _end_canary(service: Service, environment: Environment, cluster_of: ClusterOf) -> None:
    cluster = cluster_of(environment)
    found = cluster.canaries().get(service.workload_name)
    if found is None:
        return
    canary = canary_marks.read(found.annotations)
    if canary is None or canary.weighted:
        cluster.weigh(service, 0)
    cluster.remove(service.canary, found.uid)


def _tried(what: str, call: Callable[[], object]) -> Iterator[str]:
    try:
        call()
    except DeliveryError as error:
        yield f"{what} could not be taken away: {error}"
