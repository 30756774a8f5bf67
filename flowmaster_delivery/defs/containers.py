"""Smoke tests that are containers: Kubernetes Jobs that dagster-k8s starts and follows.

dagster-k8s writes the container's log to the run's, and tells a failed test from a cluster that is
away by words alone; so what became of the Job is read from the cluster afterwards, by our own port,
which also awaits the Job that an earlier try of the same run has left
(docs/adr/0008-dagster-k8s-starts-smoke-jobs-and-the-port-judges-them.md).
"""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import replace
from hashlib import sha256
from math import ceil
from typing import Any

from dagster import AssetExecutionContext, SupersessionWarning

from flowmaster_delivery.defs.resources import Delivery
from flowmaster_delivery.flows.verification.smoke import RunContainer
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import DeliveryError, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.verification import SmokeTest

KEPT_SECONDS = 3600
"""How long a Job that has ended stays to be looked at."""
LAST_LOOK = 2.0
"""Seconds at least for reading what became of a Job."""
OVERDUE = "active longer than specified deadline"
"""What Kubernetes says of a Job that it ended because nobody waits for it any more."""
GRACE = 60
"""Seconds after which the cluster ends what nobody waits for any more."""


def container_runner(
    context: AssetExecutionContext, service: Service, environment: Environment, delivery: Delivery
) -> RunContainer:
    """Runs the container of a smoke test once for each run, however often the run is repeated."""

    def run(test: SmokeTest) -> tuple[Outcome, str]:
        name = job_name(context.run.run_id, service, test)
        end = time.monotonic() + test.timeout.total_seconds()
        try:
            _execute(context, name, test, service, environment, delivery)
        except Exception as error:  # noqa: BLE001  # all that it raises; what it means is read below
            context.log.info("job %s: %s", name, error)
        if context.retry_number:
            name = f"{name}-{context.retry_number}"  # as dagster-k8s names it then
        left = max(LAST_LOOK, end - time.monotonic())
        return _verdict(name, left, test, service, environment, delivery)

    return run


def job_name(run_id: str, service: Service, test: SmokeTest) -> str:
    """A name of its own for each run, service and test, of 63 characters at most."""
    mark = sha256(f"{run_id}/{service.name}/{test.name}".encode()).hexdigest()[:10]
    words = re.sub(r"[^a-z0-9-]+", "-", f"smoke-{service.name}-{test.name}".lower())
    return f"{words[:48].strip('-')}-{mark}"


def _execute(
    context: AssetExecutionContext,
    name: str,
    test: SmokeTest,
    service: Service,
    environment: Environment,
    delivery: Delivery,
) -> None:
    from dagster_k8s import execute_k8s_job  # it takes a second to import

    seconds = max(1, ceil(test.timeout.total_seconds()))
    kubeconfig = delivery.settings.kubeconfig
    with warnings.catch_warnings():
        # What supersedes it starts pods, not Jobs: the ADR says why Jobs.
        warnings.simplefilter("ignore", SupersessionWarning)
        execute_k8s_job(
            Apart(context.op_execution_context),  # type: ignore[arg-type]
            image=test.image,
            command=list(test.command) or None,
            namespace=environment.namespace,
            labels={
                "app.kubernetes.io/managed-by": "flowmaster",
                "flowmaster.ai/smoke": service.name,
            },
            load_incluster_config=kubeconfig is None,
            kubeconfig_file=str(kubeconfig) if kubeconfig else None,
            _kubeconfig_file_context=environment.context,
            timeout=seconds,
            k8s_job_name=name,
            container_config={"terminationMessagePolicy": "FallbackToLogsOnError"},
            job_spec_config={
                "backoffLimit": 0,
                "activeDeadlineSeconds": seconds + GRACE,
                "ttlSecondsAfterFinished": KEPT_SECONDS,
            },
            delete_failed_k8s_jobs=False,
        )


class Apart:
    """A step's context without the run's launcher: dagster-k8s would give the container of a test
    what the pods of our runs have, the platform's secrets among it."""

    run_launcher = None

    def __init__(self, context: Any) -> None:
        self._context = context

    @property
    def instance(self) -> Any:
        """It is asked for its launcher alone."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _verdict(
    name: str,
    seconds: float,
    test: SmokeTest,
    service: Service,
    environment: Environment,
    delivery: Delivery,
) -> tuple[Outcome, str]:
    """Only a container that ran and said no is a failure: an image that cannot be pulled, a full
    cluster and a test without end say nothing of the service."""
    job = replace(service, workload=name, container=name)
    try:
        cluster = delivery.ports.cluster(environment)
        succeeded, said = cluster.run_job(job, test.image, name, seconds, test.command)
    except Transient as error:
        return Outcome.INCONCLUSIVE, str(error)
    except DeliveryError as error:
        return Outcome.ERROR, str(error)
    if not succeeded and OVERDUE in said:
        return Outcome.INCONCLUSIVE, f"job {name} has not ended in time: {said}"
    words = f"job {name} {'succeeded' if succeeded else 'failed'}: {said}".rstrip(": ")
    return (Outcome.SUCCESS if succeeded else Outcome.FAILURE), words
