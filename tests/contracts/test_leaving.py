"""Leaving: canaries, leases and the Jobs of runs are gone, and the services are as they were."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.kubernetes.leftovers import KubernetesLeftovers
from flowmaster_delivery.adapters.kubernetes.run_jobs import KubernetesRunJobs
from flowmaster_delivery.flows.uninstall import leave
from flowmaster_delivery.model.canary import Canary, CanaryRule, CanaryStep
from flowmaster_delivery.model.rights import Right
from flowmaster_delivery.model.rollout import watch_lease
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.policy import canary_marks
from flowmaster_delivery.policy.rights import rights_of, switches_of
from tests.builders import a_catalog, production
from tests.contracts.clusters import CONTEXT, Target
from tests.contracts.namespaces import API, Namespace, a_digest, a_reference, await_until
from tests.contracts.test_run_jobs import OURS, create

TEST = "a-test"
JOBS = Right("batch", "jobs", verbs=("delete", "list"))
TRIED = Safeguards(canary=CanaryRule((CanaryStep(1, timedelta(0)),), ()))


class Leaver:
    """Whoever uninstalls, with these rights in the room's namespace."""

    def __init__(self, room: Namespace, target: Target, *, jobs: bool = True) -> None:
        place = production(namespace=room.name, context=CONTEXT, safeguards=TRIED)
        self.catalog = a_catalog(services=[API], environments=[place])
        leases = switches_of(place, self.catalog).leases
        more = (Right("coordination.k8s.io", "leases", leases, ("delete",)),)
        pods = Right("", "pods", (TEST,), ("delete",))
        given = (*rights_of(place, self.catalog), *more, pods, *((JOBS,) if jobs else ()))
        self.kubeconfig = target.account(room.name, given).kubeconfig
        self.namespace = room.name

    def leave(self) -> list[str]:
        with (
            closing(KubernetesClusters(self.kubeconfig)) as clusters,
            closing(Api(connect(self.kubeconfig, CONTEXT))) as api,
        ):
            jobs = KubernetesRunJobs(api, self.namespace)
            leftovers = KubernetesLeftovers(api, self.namespace)
            return list(leave(self.catalog, clusters, lambda _: leftovers, jobs, [TEST]))


@pytest.fixture
def left(room: Namespace) -> Namespace:
    """A service with a canary beside it, leases, and a run that goes on."""
    room.deploy(a_reference())
    now = datetime.now(UTC)
    marks = canary_marks.marks(Canary(a_digest(), "run-1", 1, now, now + timedelta(hours=1)))
    room.cluster.create_canary(API, a_reference(a_digest()), pods=1, annotations=marks)
    for name in ("api", watch_lease("production")):
        room.cluster.acquire(name, "run-1", preempt=False, ttl=30)
    create(room, "running", a_digest(), OURS, parallelism=0)
    containers = [{"name": "doctor", "image": a_reference()}]
    meta = {"name": TEST}
    room.create(
        "pods",
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers}},
    )
    return room


def test_nothing_is_left_but_the_service_as_it_was(left: Namespace, target: Target) -> None:
    before = left.cluster.workload(API)
    assert Leaver(left, target).leave() == []
    await_until(lambda: not left.names("jobs"))
    await_until(lambda: TEST not in left.names("pods"))
    assert left.names("leases") == set()
    assert left.cluster.canaries() == {}
    after = left.cluster.workload(API)
    assert (after.uid, after.images, after.desired) == (before.uid, before.images, before.desired)


def test_a_second_time_there_is_nothing_to_do(left: Namespace, target: Target) -> None:
    leaver = Leaver(left, target)
    leaver.leave()
    assert leaver.leave() == []


def test_what_cannot_be_taken_away_is_named_and_the_rest_goes(
    left: Namespace, target: Target
) -> None:
    [words] = Leaver(left, target, jobs=False).leave()
    assert words.startswith("the Jobs of runs could not be taken away: ")
    assert "403" in words
    assert left.names("jobs") == {"running"}
    assert left.names("leases") == set()
