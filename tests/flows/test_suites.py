"""Suites: one pipeline for all that arrived together, and only a red one is a failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.verification.suites import Companions, run_suites
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import Denied, NotFound, Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Method
from flowmaster_delivery.model.source import Job, Pipeline, PipelineState
from flowmaster_delivery.model.verification import CheckResult, SuiteRule, Validation
from tests.fakes.fake_cluster import FakeTime
from tests.flows.conftest import NOW, Platform, an_environment

BOTH = (Validation.CONTRACT, Validation.E2E)
RECORD = DeploymentRecord(
    "api", "staging", Method.ROLLOUT, Outcome.SUCCESS, "sha256:a", None, "fp", "c1", NOW, NOW, "t"
)
STAGING = an_environment(
    "staging",
    base_url="http://staging.test",
    suites=SuiteRule("platform", timeout=timedelta(seconds=60)),
)


class Stage:
    """A forge whose pipelines run for a while, and one run that verifies."""

    def __init__(self, platform: Platform) -> None:
        self.forge, self.time = platform.forge, FakeTime()
        self.reading: Reading = platform.reading()
        self.cancelled_at: float | None = None
        self.looks = 0
        self.ends_after = 0
        self._read = self.forge.pipeline
        self.forge.pipeline = self.pipeline  # type: ignore[method-assign]  # a slow one

    def pipeline(self, repository: object, number: int) -> Pipeline:
        found = self._read(repository, number)  # type: ignore[arg-type]  # passed on
        self.looks += 1
        running = self.looks <= self.ends_after
        return replace(found, state=PipelineState.RUNNING) if running else found

    def run(
        self,
        *asked: Validation,
        environment: Environment = STAGING,
        services: tuple[str, ...] = ("api",),
        arrived: float = 0.0,
        run_id: str = "r1",
    ) -> tuple[CheckResult, ...]:
        def cancelled() -> bool:
            return self.cancelled_at is not None and self.time.seconds >= self.cancelled_at

        pace = Pace(self.time.now, lambda _: None, cancelled, self.time.monotonic, self.time.sleep)
        companions = Companions(services, lambda: self.time.seconds >= arrived)
        return run_suites(
            asked or BOTH, RECORD, environment, run_id, companions, self.reading, pace
        )

    @property
    def starts(self) -> int:
        return len(self.forge.started)


@pytest.fixture
def stage(platform: Platform) -> Stage:
    platform.start()
    return Stage(platform)


def test_both_suites_are_started_with_what_they_are_to_test(stage: Stage) -> None:
    contract, e2e = stage.run(services=("web", "api"))
    assert (contract.outcome, e2e.outcome) == (Outcome.SUCCESS, Outcome.SUCCESS)
    assert contract.url.startswith("http://forge/pipelines/")
    assert contract.words.endswith("of platform: passed")
    told = {
        "ENVIRONMENT": "staging",
        "BASE_URL": "http://staging.test",
        "COMMIT": "c1",
        "SERVICES": "api,web",
        "RUN": "r1",
    }
    assert list(stage.forge.started.values()) == [
        {"SUITE": "contract", **told},
        {"SUITE": "e2e", **told},
    ]


def test_services_that_arrive_together_share_one_pipeline(stage: Stage) -> None:
    stage.run(services=("api", "web"))
    stage.run(services=("web", "api"))
    assert stage.starts == 2
    stage.run(services=("auth",))
    assert stage.starts == 4


def test_a_run_that_is_repeated_finds_its_pipelines_and_a_new_run_tests_anew(
    stage: Stage, platform: Platform
) -> None:
    stage.run()
    stage.reading = platform.reading()
    stage.run()
    assert stage.starts == 2
    stage.run(run_id="r2")
    assert stage.starts == 4


def test_it_is_started_when_the_last_of_them_has_arrived(stage: Stage) -> None:
    begun = stage.time.seconds
    stage.run(arrived=begun + 7)
    assert stage.time.seconds >= begun + 7
    assert stage.starts == 2


def test_who_never_arrives_does_not_hold_it_up_for_ever(stage: Stage) -> None:
    contract, _ = stage.run(arrived=1e9)
    assert contract.outcome is Outcome.INCONCLUSIVE
    assert "did not arrive in time" in contract.words
    assert stage.starts == 0


def test_a_red_pipeline_is_a_failure_with_the_jobs_that_failed(stage: Stage) -> None:
    stage.forge.ends.append(({"SUITE": "contract"}, PipelineState.FAILED))
    made = stage.forge.start_pipeline

    def start(*given: object) -> Pipeline:
        pipeline = made(*given)  # type: ignore[arg-type]  # passed on
        stage.forge.made_jobs[pipeline.id] = (
            Job("contract:api", "test", PipelineState.FAILED),
            Job("contract:web", "test", PipelineState.SUCCESS),
            Job("flaky", "test", PipelineState.FAILED, allow_failure=True),
        )
        return pipeline

    stage.forge.start_pipeline = start  # type: ignore[method-assign]  # with jobs of its own
    contract, e2e = stage.run()
    assert (contract.outcome, e2e.outcome) == (Outcome.FAILURE, Outcome.SUCCESS)
    assert contract.words.endswith("failed: contract:api")


@pytest.mark.parametrize(
    "state", [PipelineState.CANCELED, PipelineState.SKIPPED, PipelineState.MANUAL]
)
def test_a_pipeline_that_did_not_run_to_its_end_says_nothing(
    stage: Stage, state: PipelineState
) -> None:
    stage.forge.ends.append(({}, state))
    (contract,) = stage.run(Validation.CONTRACT)
    assert contract.outcome is Outcome.INCONCLUSIVE
    assert contract.words.endswith(f"its pipeline is {state}")


def test_a_pipeline_that_takes_too_long_is_inconclusive(stage: Stage) -> None:
    stage.forge.ends.append(({}, PipelineState.RUNNING))
    (contract,) = stage.run(Validation.CONTRACT)
    assert contract.outcome is Outcome.INCONCLUSIVE
    assert contract.words.endswith("it has not ended after 1 min")


def test_a_canceled_wait_is_inconclusive(stage: Stage) -> None:
    stage.forge.ends.append(({}, PipelineState.RUNNING))
    stage.cancelled_at = stage.time.seconds + 5
    (contract,) = stage.run(Validation.CONTRACT)
    assert contract.outcome is Outcome.INCONCLUSIVE
    assert "canceled while it ran" in contract.words
    assert stage.time.seconds < stage.cancelled_at + 11


def test_canceled_before_all_have_arrived_nothing_is_started(stage: Stage) -> None:
    stage.cancelled_at = 0
    (contract,) = stage.run(Validation.CONTRACT, arrived=1e9)
    assert contract.outcome is Outcome.INCONCLUSIVE
    assert stage.starts == 0


@pytest.mark.parametrize("error", [Unreachable("GitLab is down"), Denied("no right to it")])
def test_a_pipeline_that_cannot_be_started_is_an_error(
    stage: Stage, error: Unreachable | Denied
) -> None:
    stage.forge.broken["platform"] = error
    (contract,) = stage.run(Validation.CONTRACT)
    assert contract.outcome is Outcome.ERROR
    assert str(error) in contract.words


def test_gitlab_away_for_a_while_is_waited_for_and_for_good_is_an_error(stage: Stage) -> None:
    stage.forge.ends.append(({}, PipelineState.RUNNING))
    slow, read = [Unreachable("away")] * 3, stage.forge.pipeline

    def pipeline(repository: object, number: int) -> Pipeline:
        if slow:
            raise slow.pop()
        return replace(read(repository, number), state=PipelineState.SUCCESS)  # type: ignore[arg-type]  # passed on

    stage.forge.pipeline = pipeline  # type: ignore[method-assign]  # away at first
    assert stage.run(Validation.CONTRACT)[0].outcome is Outcome.SUCCESS
    slow.extend([Unreachable("away")] * 1000)
    (late,) = stage.run(Validation.CONTRACT, run_id="r2")
    assert late.outcome is Outcome.ERROR
    assert "could not be read any more within 1 min: away" in late.words


def test_a_pipeline_that_was_deleted_is_an_error(stage: Stage) -> None:
    def gone(*_: object) -> Pipeline:
        raise NotFound("there is no such pipeline")

    stage.forge.ends.append(({}, PipelineState.RUNNING))
    stage.forge.pipeline = gone  # type: ignore[method-assign]  # deleted by somebody
    assert stage.run(Validation.CONTRACT)[0].outcome is Outcome.ERROR


def test_an_environment_without_suites_says_what_is_missing(stage: Stage) -> None:
    (contract,) = stage.run(Validation.CONTRACT, environment=replace(STAGING, suites=None))
    assert contract.outcome is Outcome.ERROR
    assert "names no `suites` in the catalog" in contract.words
