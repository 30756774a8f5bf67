"""Verification: everything that is due is asked, and what could not be asked is no failure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.verification.suites import Companions
from flowmaster_delivery.flows.verification.verifying import Means, verify
from flowmaster_delivery.model.analysis import MetricsRule
from flowmaster_delivery.model.catalog import Kind, Service
from flowmaster_delivery.model.errors import Permanent, Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.source import PipelineState
from flowmaster_delivery.model.verification import (
    HttpStep,
    SmokeTest,
    SuiteRule,
    Validation,
    Verification,
)
from flowmaster_delivery.ports import HttpAnswer, Ports
from tests.fakes.fake_cluster import FakeCluster, FakeTime
from tests.fakes.fake_probe import FakeProbe
from tests.flows.conftest import Platform, a_service, an_environment

DIGEST = f"sha256:{'a' * 64}"
SMOKE = SmokeTest("view-dashboard", (HttpStep("GET", "/dashboard"),))
METRICS = MetricsRule("http://prometheus.test")


@dataclass
class Stage:
    platform: Platform
    validation: tuple[Validation, ...] = (Validation.HEALTH,)
    metrics: MetricsRule | None = None
    service: Service = field(default_factory=lambda: replace(a_service("api"), smoke=(SMOKE,)))
    state: HealthState = HealthState.HEALTHY
    runs: str = DIGEST
    changed: bool = True
    cancelled_at: float = 1e9
    cluster: FakeCluster = field(default_factory=FakeCluster)
    probe: FakeProbe = field(default_factory=FakeProbe)

    def __post_init__(self) -> None:
        self.cluster.deploy(self.service, f"registry.test/group/api@{DIGEST}")
        self.measured(error_rate=0.0)

    @property
    def time(self) -> FakeTime:
        return self.cluster.time

    def measured(self, **figures: float) -> None:
        good: dict[str, float] = {"requests": 5000, "p95": 0.1, "cpu": 0.5, "memory": 0.5}
        self.platform.metrics.tell("api-", **{**good, **figures})

    def secret(self, name: str) -> str:
        raise Permanent(f"there is no secret {name}")

    def verify(self) -> Verification:
        environment = an_environment(
            "staging",
            base_url="http://staging.test",
            safeguards=Safeguards(validation=self.validation),
            suites=SuiteRule("platform"),
            metrics=self.metrics,
        )
        now = self.time.now()
        record = DeploymentRecord(
            "api", "staging", Method.ROLLOUT, Outcome.SUCCESS, DIGEST, None, "fp", "c1",
            now - timedelta(minutes=1), now, "dana", run_id="r0", changed=self.changed,
        )  # fmt: skip
        seen = HealthObservation("api", "staging", self.state, self.runs, "fp", now, "as seen")
        means = Means(
            "r1",
            self.secret,
            lambda _: (Outcome.SUCCESS, "ended"),
            Companions(("api",), lambda: True),
        )
        pace = Pace(
            self.time.now,
            lambda _: None,
            lambda: self.time.seconds >= self.cancelled_at,
            self.time.monotonic,
            self.time.sleep,
        )
        ports: Ports = replace(
            self.platform.ports, probe=self.probe, cluster=lambda _: self.cluster
        )
        reading = self.platform.reading()
        reading.ports = ports
        return verify(record, seen, self.service, environment, reading, means, pace)


@pytest.fixture
def stage(platform: Platform) -> Stage:
    platform.start()
    return Stage(platform)


def outcomes(found: Verification) -> dict[str, Outcome]:
    return {one.validation.value: one.outcome for one in found.results}


def test_an_image_that_passes_everything_is_verified(stage: Stage) -> None:
    stage.validation, stage.metrics = tuple(Validation), METRICS
    found = stage.verify()
    assert found.verified
    assert outcomes(found) == dict.fromkeys(Validation, Outcome.SUCCESS)
    assert (found.digest, found.run_id) == (DIGEST, "r1")
    assert {one.outcome for one in found.figures} == {Outcome.SUCCESS}
    assert len(found.figures) == 4


def test_where_only_health_is_asked_health_is_enough(stage: Stage) -> None:
    found = stage.verify()
    assert (found.verified, list(outcomes(found))) == (True, ["health"])
    assert stage.probe.called == []


def test_what_is_not_healthy_is_asked_nothing_else(stage: Stage) -> None:
    stage.validation, stage.metrics = tuple(Validation), METRICS
    stage.state = HealthState.DEGRADED
    found = stage.verify()
    assert found.outcome is Outcome.FAILURE
    assert {one.words for one in found.results[1:]} == {"not asked: it is not healthy"}
    assert (stage.probe.called, stage.platform.forge.started) == ([], {})
    assert (found.figures, stage.platform.metrics.asked) == ((), [])


def test_what_is_not_the_image_that_was_rolled_out_is_not_verified(stage: Stage) -> None:
    stage.validation, stage.runs = (Validation.HEALTH, Validation.SMOKE), f"sha256:{'b' * 64}"
    found = stage.verify()
    assert found.outcome is Outcome.INCONCLUSIVE
    assert stage.probe.called == []


def test_a_failed_test_hides_no_other_reason(stage: Stage) -> None:
    stage.validation = (Validation.HEALTH, Validation.SMOKE, Validation.CONTRACT)
    stage.probe.said["GET http://staging.test/api/dashboard"] = HttpAnswer(500, None, 0.1)
    stage.platform.forge.ends.append(({"SUITE": "contract"}, PipelineState.FAILED))
    found = stage.verify()
    assert found.outcome is Outcome.FAILURE
    assert outcomes(found)["smoke"] is Outcome.FAILURE
    assert outcomes(found)["contract"] is Outcome.FAILURE


def test_a_cluster_that_could_not_be_read_is_an_error_and_the_rest_is_asked(stage: Stage) -> None:
    stage.validation, stage.state = (Validation.HEALTH, Validation.SMOKE), HealthState.UNKNOWN
    found = stage.verify()
    assert found.outcome is Outcome.ERROR
    assert outcomes(found)["smoke"] is Outcome.SUCCESS


def test_performance_waits_for_its_window_after_the_rollout(stage: Stage) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    begun = stage.time.now()
    found = stage.verify()
    assert found.at - begun >= timedelta(minutes=5)
    assert {one.measurement.window for one in found.figures} == {timedelta(minutes=5)}


def test_figures_over_their_limits_are_a_failure(stage: Stage) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    stage.measured(error_rate=0.01)
    found = stage.verify()
    assert outcomes(found)["performance"] is Outcome.FAILURE
    assert "of 5000 requests failed" in found.results[-1].words


@pytest.mark.parametrize(
    ("figures", "outcome"),
    [({"requests": 10}, Outcome.INCONCLUSIVE), ({"p95": 0.3}, Outcome.FAILURE)],
)
def test_too_few_requests_are_no_failure(
    stage: Stage, figures: dict[str, float], outcome: Outcome
) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    stage.measured(**figures)
    assert stage.verify().outcome is outcome


def test_a_metrics_server_that_is_down_is_an_error(stage: Stage) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    stage.platform.metrics.fails = Unreachable("prometheus is down")
    found = stage.verify()
    assert found.outcome is Outcome.ERROR
    assert "prometheus is down" in found.results[-1].words


def test_pods_that_cannot_be_read_cannot_be_measured(stage: Stage) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    stage.cluster.failing["pods"] = [Unreachable("the cluster is down")]
    found = stage.verify()
    assert found.outcome is Outcome.ERROR
    assert found.results[-1].words == "its pods could not be read: the cluster is down"


def test_a_canceled_wait_measures_nothing_and_is_inconclusive(stage: Stage) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    stage.cancelled_at = stage.time.seconds + 20
    found = stage.verify()
    assert found.outcome is Outcome.INCONCLUSIVE
    assert stage.time.seconds < stage.cancelled_at + 6
    assert found.figures == ()


def test_performance_without_metrics_says_what_to_name(stage: Stage) -> None:
    stage.validation = (Validation.HEALTH, Validation.PERFORMANCE)
    found = stage.verify()
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "name `metrics`" in found.results[-1].words


def test_figures_are_recorded_where_nobody_asks_for_them_without_a_wait(stage: Stage) -> None:
    stage.metrics = METRICS
    stage.measured(error_rate=0.5)
    begun = stage.time.now()
    found = stage.verify()
    assert found.verified
    assert len(found.figures) == 4
    assert found.at == begun


def test_an_image_that_ran_already_is_not_tested_by_suites_again(stage: Stage) -> None:
    stage.validation = (Validation.HEALTH, Validation.CONTRACT)
    first = stage.verify()
    stage.platform.history.record(first)
    stage.changed = False
    again = stage.verify()
    assert again.verified
    assert "nothing was rolled out" in again.results[-1].words
    assert len(stage.platform.forge.started) == 1


def test_an_image_that_ran_already_and_was_not_verified_is_tested_again(stage: Stage) -> None:
    stage.validation = (Validation.HEALTH, Validation.CONTRACT)
    stage.platform.forge.ends.append(({"RUN": "r1"}, PipelineState.CANCELED))
    stage.platform.history.record(stage.verify())
    stage.changed = False
    assert stage.verify().outcome is Outcome.INCONCLUSIVE


def test_an_unchanged_image_is_measured_over_the_window_that_lies_behind(stage: Stage) -> None:
    stage.validation, stage.metrics = (Validation.HEALTH, Validation.PERFORMANCE), METRICS
    stage.changed = False
    begun = stage.time.now()
    found = stage.verify()
    assert {one.measurement.window for one in found.figures} == {timedelta(minutes=5)}
    assert stage.time.now() == begun


def test_a_job_is_as_well_as_what_was_done(stage: Stage) -> None:
    stage.validation, stage.metrics = tuple(Validation), METRICS
    stage.service = replace(stage.service, kind=Kind.JOB)
    found = stage.verify()
    assert (found.verified, list(outcomes(found)), found.figures) == (True, ["health"], ())
