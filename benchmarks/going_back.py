"""From the decision to roll back to the first change on the cluster: in the watch's process, and by
a run of its own. And what a canary takes beside its own pauses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from dagster import DagsterInstance

from benchmarks.apart import FarEnd, now, sandbox
from benchmarks.catalogs import SHARED, write_catalog
from benchmarks.cluster_watch import Changes, watched
from benchmarks.figures import Figure, percentile
from benchmarks.images import push_again
from benchmarks.stage import Stage, up
from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.incidents.opening import open_case
from flowmaster_delivery.flows.incidents.taking_back import take_back
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.analysis import Figure as Measured
from flowmaster_delivery.model.analysis import Limit, MetricsRule
from flowmaster_delivery.model.canary import CanaryRule, CanaryStep
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.policy.rollback import Case
from flowmaster_delivery.ports import Ports
from tests.fakes.fake_notifier import FakeNotifier

SERVICES = 20
RUNS = 8
PATIENCE = 60.0
PAUSE = 3.0
"""Seconds of each of a canary's steps."""


def measure() -> Iterator[Figure]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        path = write_catalog(Path(folder) / "catalog.yaml", SERVICES, repositories=1)
        far_end = stack.enter_context(sandbox(Path(folder), path))
        instance = stack.enter_context(DagsterInstance.local_temp(tempdir=folder))
        lab = Lab(far_end, DagsterHistory(instance, "the key of this benchmark"))
        seconds = [lab.rolled_back(service) for service in lab.services]
        note = f"from the case to the patch; median {percentile(seconds, 0.5):.2f} of {SERVICES}"
        worst = percentile(seconds, 0.95)
        yield Figure("rollback_decision_to_patch_p95", worst, "s", 1.0, note)
        yield lab.canary(lab.services[0])
    yield _by_run()


@dataclass
class Lab:
    """A sandbox with a real event log, and what is done to its services."""

    far_end: FarEnd
    history: DagsterHistory

    @property
    def services(self) -> list[Service]:
        return list(self.far_end.catalog.services.values())

    @property
    def environment(self) -> Environment:
        return self.far_end.catalog.environment("dev")

    @property
    def ports(self) -> Ports:
        return replace(self.far_end.ports, history=self.history, notifier=FakeNotifier())

    def rolled_back(self, service: Service) -> float:
        """Bring a second image, speak against it; seconds until the cluster has the first one."""
        self._adopt(service)
        bad = self._push(service)
        self._bring(service, bad, self.environment)
        asked = Asked("benchmark", "benchmark")
        work = Work(self.far_end.catalog, self.ports, asked, Pace(now))
        with self._watched() as changes:
            began = time.time()
            case = Case(service.name, "dev", Trigger.HEALTH, "it is ill", now(), bad)
            incident = open_case(case, work)
            if incident is None:
                raise RuntimeError(f"nothing speaks against {service.name}")
            take_back(incident, work)
            return changes.first(PATIENCE, service.workload_name) - began

    def canary(self, service: Service) -> Figure:
        """A good release by canary: what it takes beside the pauses of its own steps."""
        limit = Limit(Measured.ERROR_RATE, 0.01, timedelta(seconds=PAUSE), min_requests=50)
        steps = (CanaryStep(1, timedelta(seconds=PAUSE)), CanaryStep(1, timedelta(seconds=PAUSE)))
        rule = CanaryRule(steps, (limit,), look_every=timedelta(seconds=1))
        environment = replace(
            self.environment,
            safeguards=replace(self.environment.safeguards, canary=rule),
            metrics=MetricsRule(str(self.far_end.told["prometheus_url"])),
        )
        new = self._push(service)
        started = time.perf_counter()
        record = self._bring(service, new, environment)
        seconds = time.perf_counter() - started - len(steps) * PAUSE
        judged = len(record.judgements)
        note = f"two steps of {PAUSE:g} s, {judged} judgements; then all of it"
        return Figure("canary_overhead", seconds, "s", 5.0, note)

    def _adopt(self, service: Service) -> None:
        workload = self.ports.cluster(self.environment).workload(service)
        digest = workload.images[service.container_name].rpartition("@")[2]
        moment = now()
        self.history.record(
            DeploymentRecord(
                service.name, "dev", Method.ADOPTION, Outcome.SUCCESS, digest, None, "f0", "c0",
                moment, moment, "benchmark",
            )
        )  # fmt: skip

    def _push(self, service: Service) -> str:
        workload = self.ports.cluster(self.environment).workload(service)
        digest = workload.images[service.container_name].rpartition("@")[2]
        told = self.far_end.told
        login = ("root", str(told["gitlab_token"]))
        return push_again(str(told["registry_url"]), service.image, digest, login)

    def _bring(self, service: Service, digest: str, environment: Environment) -> DeploymentRecord:
        catalog = self.far_end.catalog
        environments = {**catalog.environments, environment.name: environment}
        candidate = Candidate(
            service.name, environment.name, service.repository, "c1", digest, "f1", "develop"
        )
        record = roll_out(
            candidate,
            replace(catalog, environments=environments),
            self.ports,
            run_id=f"run-{digest[-8:]}",
            asked_by="benchmark",
            reason="",
            pace=Pace(now),
        )
        if record.outcome is not Outcome.SUCCESS:
            raise RuntimeError(f"the rollout of {service.name} ended {record.outcome}: {record}")
        self.history.record(record)
        return record

    def _watched(self):  # type: ignore[no-untyped-def]  # that of `watched`
        return watched(Path(str(self.far_end.told["kubeconfig"])), self.environment.namespace)


def _by_run() -> Figure:
    """A rollback that a person asks for: a run of its own, its process included."""
    with up() as stage, watched(Path(stage.told["kubeconfig"]), stage.namespace) as changes:
        names = list(stage.catalog.services)[:RUNS]
        _ship(stage, changes, names)
        seconds = [_asked(stage, changes, name) for name in names]
    note = f"from the request; median {percentile(seconds, 0.5):.2f} of {RUNS}"
    return Figure("rollback_by_new_run_p95", percentile(seconds, 0.95), "s", 8.0, note)


def _ship(stage: Stage, changes: Changes, names: list[str]) -> None:
    """A second version of the services, and the end of its run."""
    clone = stage.clone()
    clone.change({f"{SHARED}/flowmaster_common/__init__.py": "# for everybody"})
    commit = clone.commit("feat: a change of everything")
    clone.git("push", "-q", "origin", "develop")
    for name in names:
        changes.first(PATIENCE, name)
    query = '{runsOrError(filter: {tags: [{key: "flowmaster/commit", value: "%s"}]}) {'
    query = query % commit + "... on Runs {results {status}}}}"
    deadline = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < deadline:
        runs = stage.graphql(query)["runsOrError"]["results"]
        if any(run["status"] == "SUCCESS" for run in runs):
            return
        time.sleep(0.5)
    raise TimeoutError(f"the run of {commit[:8]} did not end well")


def _asked(stage: Stage, changes: Changes, name: str) -> float:
    changes.forget()
    began = time.time()
    body = {"environment": "dev", "services": [name], "to": "previous", "reason": "benchmark"}
    url = f"{stage.platform.ports.server_url}/api/rollbacks"
    httpx.post(url, json=body, timeout=30, trust_env=False).raise_for_status()
    return changes.first(PATIENCE, name) - began
