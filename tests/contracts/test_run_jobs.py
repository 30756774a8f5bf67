"""The port `RunJobs`: finished Jobs of runs and no others, with the rights that the chart gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.kubernetes.run_jobs import RUN_ID, KubernetesRunJobs
from flowmaster_delivery.flows.retention import sweep_jobs
from flowmaster_delivery.model.errors import Denied
from flowmaster_delivery.model.retention import RetentionRule
from flowmaster_delivery.model.rights import Right
from tests.contracts.clusters import CONTEXT, Target
from tests.contracts.namespaces import Namespace, a_digest, a_reference, await_until

RIGHTS = (Right("batch", "jobs", verbs=("delete", "list")),)
OURS = {
    "app.kubernetes.io/part-of": "flowmaster-delivery",
    "app.kubernetes.io/component": "run",
}


@pytest.fixture
def jobs(room: Namespace, target: Target) -> Iterator[KubernetesRunJobs]:
    """With the rights of the chart's ServiceAccount for it, and no others."""
    kubeconfig = target.account(room.name, RIGHTS).kubeconfig
    with closing(KubernetesRunJobs(Api(connect(kubeconfig, CONTEXT)), room.name)) as made:
        yield made


def create(
    room: Namespace, name: str, digest: str, labels: dict[str, str], parallelism: int = 1
) -> None:
    """With no pod at a time, a Job runs for ever."""
    containers = [{"name": "run", "image": a_reference(digest)}]
    template = {"spec": {"restartPolicy": "Never", "containers": containers}}
    spec = {"backoffLimit": 0, "parallelism": parallelism, "template": template}
    metadata = {"name": name, "labels": {**labels, RUN_ID: f"run-{name}"}}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    room.create("jobs", body)


def create_all(room: Namespace, target: Target) -> None:
    """One that went well, one that failed, one that runs, and one that is somebody else's."""
    good, bad = a_digest(), a_digest()
    target.fare(bad, "crash", "killed")
    create(room, "good", good, OURS)
    create(room, "bad", bad, OURS)
    create(room, "waits", good, OURS, parallelism=0)
    create(room, "theirs", good, {**OURS, "app.kubernetes.io/component": "migrate"})
    await_until(lambda: all(_ended(room, name) for name in ("good", "bad", "theirs")))


def _ended(room: Namespace, name: str) -> bool:
    return bool(room.get("jobs", name).get("status", {}).get("conditions"))


def test_jobs_of_runs_that_have_ended_are_removed_with_their_pods_and_no_others(
    room: Namespace, target: Target, jobs: KubernetesRunJobs
) -> None:
    create_all(room, target)
    found = {job.name: job for job in jobs.finished()}
    assert found.keys() == {"good", "bad"}
    assert found["bad"].run_id == "run-bad"
    assert abs(found["good"].at - datetime.now(UTC)) < timedelta(minutes=2)
    for job in found.values():
        jobs.remove(job)
    await_until(lambda: room.names("jobs") == {"waits", "theirs"})
    await_until(lambda: len(room.names("pods")) == 1)
    assert jobs.finished() == ()


def test_one_that_is_gone_or_is_another_by_now_is_let_be(
    room: Namespace, target: Target, jobs: KubernetesRunJobs
) -> None:
    create(room, "good", a_digest(), OURS)
    await_until(lambda: _ended(room, "good"))
    (job,) = jobs.finished()
    jobs.remove(replace(job, uid="00000000-0000-0000-0000-000000000000"))
    assert room.names("jobs") == {"good"}
    jobs.remove(job)
    await_until(lambda: not room.names("jobs"))
    jobs.remove(job)


def test_young_ones_and_all_of_a_dry_run_stay(
    room: Namespace, target: Target, jobs: KubernetesRunJobs
) -> None:
    create(room, "good", a_digest(), OURS)
    await_until(lambda: _ended(room, "good"))
    now, rule = datetime.now(UTC), RetentionRule(jobs=timedelta(hours=1))
    young = sweep_jobs(jobs, rule, now, remove=True)
    assert [(line.count, line.removed) for line in young] == [(0, True), (1, False)]
    dry = sweep_jobs(jobs, rule, now + timedelta(hours=2), remove=False)
    assert [(line.count, line.removed) for line in dry] == [(1, True)]
    assert room.names("jobs") == {"good"}
    sweep_jobs(jobs, rule, now + timedelta(hours=2), remove=True)
    await_until(lambda: not room.names("jobs"))


def test_jobs_of_a_namespace_that_may_not_be_seen_are_no_empty_list(
    room: Namespace, target: Target
) -> None:
    kubeconfig = target.account(room.name, RIGHTS).kubeconfig
    with (
        closing(KubernetesRunJobs(Api(connect(kubeconfig, CONTEXT)), "kube-system")) as elsewhere,
        pytest.raises(Denied),
    ):
        elsewhere.finished()
