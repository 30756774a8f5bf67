"""Smoke tests that are containers, in a step of a run, as dagster-k8s starts them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from dagster import AssetExecutionContext, AssetSpec, DagsterInstance, materialize, multi_asset

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.defs.containers import container_runner, job_name
from flowmaster_delivery.defs.resources import Delivery, Recent, clock
from flowmaster_delivery.flows.verification.smoke import RunContainer
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.verification import SmokeTest
from flowmaster_delivery.settings import Settings
from tests.flows.conftest import Platform


def delivery_to(kubeconfig: Path, clusters: KubernetesClusters) -> Delivery:
    platform = Platform()
    settings = replace(Settings.from_environ({}), kubeconfig=kubeconfig)
    ports = replace(platform.ports, cluster=clusters)
    recent = Recent(platform.catalog, ports)
    return Delivery(settings, platform.catalog, ports, platform.reading(), recent, clock)


def a_test(name: str, image: str, seconds: float = 5.0) -> SmokeTest:
    return SmokeTest(name, image=image, command=("run",), timeout=timedelta(seconds=seconds))


def in_a_step(
    delivery: Delivery,
    service: Service,
    place: Environment,
    tests: Sequence[SmokeTest],
    times: int = 1,
) -> list[tuple[Outcome, str]]:
    """What the tests came to in a step of a run, run at once, so many times one after the other."""
    came: list[tuple[Outcome, str]] = []

    @multi_asset(specs=[AssetSpec("health")])
    def health(context: AssetExecutionContext) -> None:
        run: RunContainer = container_runner(context, service, place, delivery)
        for _ in range(times):
            with ThreadPoolExecutor(len(tests)) as pool:
                came.extend(pool.map(run, tests))
        names = [job_name(context.run.run_id, service, test) for test in tests]
        context.log.info(", ".join(names))

    with DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as instance:
        assert materialize([health], instance=instance).success
    return came
