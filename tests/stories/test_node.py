"""Releases on a real node: real containers, requests through the Service, a real Prometheus."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.adapters.prometheus import PrometheusMetrics
from flowmaster_delivery.flows.goal import Asked, Pace
from flowmaster_delivery.flows.incidents.people import Wish, by_person
from flowmaster_delivery.flows.incidents.taking_back import carried_out, close
from flowmaster_delivery.flows.rollout import roll_out
from flowmaster_delivery.flows.work import Work
from flowmaster_delivery.model.analysis import Figure, Limit, MetricsRule
from flowmaster_delivery.model.canary import CanaryRule, CanaryStep
from flowmaster_delivery.model.catalog import Catalog, Environment, Kind, RefKind, RefRule, Service
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.rollout import DeploymentRecord
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.ports import Cluster, Ports
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_registry import FakeRegistry
from tests.stories.node import (
    IMAGE,
    PORT,
    Images,
    Visitors,
    await_until,
    kubeconfig_of_node,
    prometheus,
    registry,
    repeated,
)

pytestmark = pytest.mark.timeout(180)

API = Service("api", Kind.DEPLOYMENT, "r", "api", IMAGE, port=PORT)
PODS = 2
PATIENCE = timedelta(seconds=120)
"""For a rollout: the node may take a minute to say that an ended pod is gone."""
BAD = 5
"""Every fifth request to a bad image fails."""
LIMIT = Limit(Figure.ERROR_RATE, 0.05, timedelta(seconds=20), min_requests=60)
CANARY = CanaryRule(
    (CanaryStep(1, timedelta(seconds=5)), CanaryStep(2, timedelta(seconds=3))),
    (LIMIT,),
    look_every=timedelta(seconds=1),
    patience=timedelta(seconds=60),
)


@dataclass
class Stage:
    """One service on the node, its visitors, and the platform beside it."""

    environment: Environment
    cluster: Cluster
    ports: Ports
    history: FakeHistory
    images: Images
    visitors: Visitors
    host: str
    runs: int = 0

    def roll_out(
        self, digest: str, *, by_canary: bool, within: timedelta = PATIENCE
    ) -> DeploymentRecord:
        self.runs += 1
        rule = Safeguards(canary=CANARY) if by_canary else Safeguards()
        environment = replace(self.environment, safeguards=rule, rollout_timeout=within)
        record = roll_out(
            Candidate("api", environment.name, "r", "c" * 40, digest, f"fp-{digest}", "main"),
            self._catalog(environment),
            self.ports,
            run_id=f"run-{self.runs}",
            asked_by="jane",
            reason="",
            pace=Pace(clock),
        )
        self.history.record(record)
        return record

    def roll_back(self) -> DeploymentRecord:
        asked = Asked("run-back", "jane", "it fails")
        catalog = self._catalog(self.environment)
        work = Work(catalog, self.ports, asked, Pace(clock), aside=lambda call: call())
        incident = by_person(API, self.environment, Wish("previous"), work)
        record = carried_out(incident, work)
        self.history.record(record)
        close(incident, record, work)
        return record

    def found_well(self, digest: str) -> None:
        self.history.record(
            HealthObservation(
                "api", self.environment.name, HealthState.HEALTHY, digest, "fp", clock()
            )
        )

    def asked(self, visits: int) -> Counter[tuple[int, str]]:
        """What so many visitors from now on are answered."""
        self.visitors.forget()
        await_until(lambda: self.visitors.seen.total() >= visits, 30)
        return self.visitors.seen

    def _catalog(self, environment: Environment) -> Catalog:
        return Catalog("test", "", f"http://{self.host}", {}, {"live": environment}, {"api": API})


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    kubeconfig, folder = kubeconfig_of_node(), tmp_path_factory.mktemp("node")
    name = f"test-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        host = stack.enter_context(registry(folder))
        images = Images(folder, host)
        stack.callback(images.forget, name)
        api = Api(connect(kubeconfig, None))
        stack.callback(api.close)
        address = begin(api, name, f"{host}/{IMAGE}@{images.push('v1')}")
        stack.callback(api.once, "DELETE", f"/api/v1/namespaces/{name}")
        clusters = KubernetesClusters(kubeconfig, [API])
        stack.callback(clusters.close)
        environment = Environment(
            "live", name, RefRule(RefKind.BRANCH, "main"), rollout_timeout=PATIENCE
        )
        cluster = clusters(environment)
        url = stack.enter_context(prometheus(folder, name, cluster))
        metrics = PrometheusMetrics(url)
        stack.callback(metrics.close)
        environment = replace(environment, metrics=MetricsRule(url))
        history = FakeHistory()
        ports = Ports(
            FakeForge(),
            FakeRegistry(),
            clusters,
            FakeProbe(),
            history,
            FakeNotifier(),
            lambda _: metrics,
            FakeAudit(),
        )
        await_until(lambda: cluster.workload(API).available == PODS, 60)
        visitors = Visitors(address)
        stack.enter_context(repeated(visitors.visit, 0.01))
        yield Stage(environment, cluster, ports, history, images, visitors, host)


def begin(api: Api, namespace: str, image: str) -> str:
    """The service as it runs before the platform comes; the address of its Kubernetes Service."""
    meta = {"metadata": {"name": namespace}}
    api.once("POST", "/api/v1/namespaces", body={"apiVersion": "v1", "kind": "Namespace", **meta})
    labels = {"app": "api"}
    probe = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1}
    container = {
        "name": "api",
        "image": image,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": probe,
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api"},
        "spec": {
            "replicas": PODS,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxSurge": PODS, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,  # pods without volumes are gone sooner
                    "containers": [container],
                    "terminationGracePeriodSeconds": 5,
                },
            },
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]},
    }
    api.once("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", body=deployment)
    made = api.once("POST", f"/api/v1/namespaces/{namespace}/services", body=service)
    return str(made["spec"]["clusterIP"])


def test_a_good_release_comes_by_canary_and_no_visitor_meets_an_error(stage: Stage) -> None:
    new = stage.images.push("v2")
    stage.visitors.forget()
    record = stage.roll_out(new, by_canary=True)
    assert record.outcome is Outcome.SUCCESS, record.message
    assert {j.outcome for j in record.judgements} >= {Outcome.SUCCESS}
    seen = stage.visitors.seen
    assert seen[200, "v1"] > 0
    assert seen[200, "v2"] > 0
    assert not any(status >= 500 for status, _ in seen), seen
    assert stage.cluster.canaries() == {}
    assert stage.asked(100).keys() == {(200, "v2")}
    assert all(pod.digest == new for pod in stage.cluster.pods(API) if not pod.terminating)


def test_a_bad_release_is_found_at_its_canary_and_the_service_is_untouched(stage: Stage) -> None:
    good = stage.images.push("v3")
    stage.roll_out(good, by_canary=False)
    before = stage.cluster.workload(API)
    pods = {pod.name for pod in stage.cluster.pods(API) if not pod.terminating}
    bad = stage.images.push("v4", fails_every=BAD)
    record = stage.roll_out(bad, by_canary=True)
    assert record.outcome is Outcome.FAILURE, record.message
    failed = [j for j in record.judgements if j.outcome is Outcome.FAILURE]
    assert failed[-1].measurement.value == pytest.approx(1 / BAD, abs=0.1)
    assert stage.cluster.canaries() == {}
    after = stage.cluster.workload(API)
    assert (after.uid, after.revision, after.images) == (before.uid, before.revision, before.images)
    assert {pod.name for pod in stage.cluster.pods(API) if not pod.terminating} == pods
    await_until(lambda: not stage.cluster.pods(API.canary), 90)
    assert stage.asked(100).keys() == {(200, "v3")}


def test_a_bad_release_that_reached_everybody_is_rolled_back_by_digest(stage: Stage) -> None:
    good = stage.images.push("v5")
    assert stage.roll_out(good, by_canary=False).outcome is Outcome.SUCCESS
    stage.found_well(good)
    bad = stage.images.push("v6", fails_every=BAD)
    assert stage.roll_out(bad, by_canary=False).outcome is Outcome.SUCCESS
    harmed = stage.asked(200)
    assert harmed[503, "v6"] > 0
    record = stage.roll_back()
    assert (record.outcome, record.digest) == (Outcome.SUCCESS, good), record.message
    assert stage.cluster.workload(API).images["api"].endswith(f"@{good}")
    assert stage.asked(100).keys() == {(200, "v5")}
    [hold] = stage.history.holds()
    assert hold.active


def test_a_release_that_never_gets_well_fails_and_the_old_one_answers_on(stage: Stage) -> None:
    good = stage.images.push("v7")
    assert stage.roll_out(good, by_canary=False).outcome is Outcome.SUCCESS
    stage.found_well(good)
    stage.visitors.forget()
    sick = stage.images.push("v8", fails_every=1)
    record = stage.roll_out(sick, by_canary=False, within=timedelta(seconds=10))
    assert record.outcome is Outcome.FAILURE, record.message
    assert stage.visitors.seen.keys() == {(200, "v7")}
    back = stage.roll_back()
    assert (back.outcome, back.digest) == (Outcome.SUCCESS, good), back.message
