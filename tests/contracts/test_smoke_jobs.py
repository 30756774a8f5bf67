"""Smoke tests that are containers: dagster-k8s starts their Jobs on the sandbox's cluster, and what
became of them is read by our own port. dagster-k8s looks every ten seconds, so all are run at once.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import AssetExecutionContext, AssetSpec, DagsterInstance, materialize, multi_asset

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.defs.containers import container_runner, job_name
from flowmaster_delivery.defs.resources import Delivery, Recent, clock
from flowmaster_delivery.flows.verification.smoke import RunContainer
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.verification import SmokeTest
from flowmaster_delivery.settings import Settings
from tests.builders import a_service, dev
from tests.contracts.clusters import CONTEXT, Target, sandbox
from tests.flows.conftest import Platform

GOOD, BAD, STUCK = (f"registry.test/tests@sha256:{letter * 64}" for letter in "abc")
PLACE: Environment = dev(namespace="default", context=CONTEXT)
SERVICE = a_service("api")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with sandbox(tmp_path_factory.mktemp("cluster")) as target:
        yield target


def delivery_to(kubeconfig: Path, clusters: KubernetesClusters) -> Delivery:
    platform = Platform()
    settings = replace(Settings.from_environ({}), kubeconfig=kubeconfig)
    ports = replace(platform.ports, cluster=clusters)
    recent = Recent(platform.catalog, ports)
    return Delivery(settings, platform.catalog, ports, platform.reading(), recent, clock)


def a_test(name: str, image: str) -> SmokeTest:
    return SmokeTest(name, image=image, command=("run",), timeout=timedelta(seconds=5))


def in_a_step(delivery: Delivery, tests: list[SmokeTest], times: int) -> list[tuple[Outcome, str]]:
    """What the tests came to in a step of a run, run at once, so many times one after the other."""
    came: list[tuple[Outcome, str]] = []

    @multi_asset(specs=[AssetSpec("health")])
    def health(context: AssetExecutionContext) -> None:
        run: RunContainer = container_runner(context, SERVICE, PLACE, delivery)
        for _ in range(times):
            with ThreadPoolExecutor(len(tests)) as pool:
                came.extend(pool.map(run, tests))
        names = [job_name(context.run.run_id, SERVICE, test) for test in tests]
        context.log.info(", ".join(names))

    with DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        assert materialize([health], instance=instance).success
    return came


def labels_of_jobs(target: Target) -> list[dict[str, str]]:
    with closing(Api(connect(target.kubeconfig, CONTEXT))) as api:
        found = api.get("/apis/batch/v1/namespaces/default/jobs")["items"]
        return [job["metadata"]["labels"] for job in found]


def test_a_container_is_judged_by_how_it_ended_and_run_once_in_a_run(target: Target) -> None:
    target.fare(BAD.rpartition("@")[2], "crash", "the dashboard is empty")
    target.fare(STUCK.rpartition("@")[2], "image_pull")
    with closing(KubernetesClusters(target.kubeconfig)) as clusters:
        delivery = delivery_to(target.kubeconfig, clusters)
        tests = [a_test("good", GOOD), a_test("bad", BAD), a_test("stuck", STUCK)]
        came = in_a_step(delivery, tests, 2)
    good, bad, stuck, *again = came
    assert good[0] is Outcome.SUCCESS
    assert bad[0] is Outcome.FAILURE
    assert "the dashboard is empty" in bad[1]
    assert stuck[0] is Outcome.INCONCLUSIVE
    assert "has not ended" in stuck[1]
    assert [outcome for outcome, _ in again] == [good[0], bad[0], stuck[0]]
    assert [labels.get("dagster/op") for labels in labels_of_jobs(target)] == ["health"] * 3
