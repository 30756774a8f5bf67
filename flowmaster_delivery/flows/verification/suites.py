"""Suites: contract and end-to-end tests, which are pipelines of the testing repository in GitLab.

One pipeline serves all services that were rolled out side by side: it is started when the last of
them has arrived, so that it tests all of them, and a run that is repeated finds it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, Repository
from flowmaster_delivery.model.errors import DeliveryError, Transient
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Phase, Progress
from flowmaster_delivery.model.source import Pipeline, PipelineState
from flowmaster_delivery.model.verification import CheckResult, SuiteRule, Validation
from flowmaster_delivery.policy.wording import span

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two looks at a pipeline."""
ENDED = (PipelineState.MANUAL,)
"""Beside those that are finished: nobody will press the button of a test."""


@dataclass(frozen=True, slots=True)
class Companions:
    """The services that are rolled out side by side by one run, and whether all have arrived."""

    services: tuple[str, ...]
    arrived: Callable[[], bool]


def run_suites(
    validations: Iterable[Validation],
    record: DeploymentRecord,
    environment: Environment,
    run_id: str,
    companions: Companions,
    reading: Reading,
    pace: Pace,
) -> tuple[CheckResult, ...]:
    """Start what is asked for, then await it; each suite once for all companions."""
    rule = environment.suites
    asked = tuple(validations)
    if rule is None:
        words = f"{environment.name} asks for it and names no `suites` in the catalog"
        return tuple(CheckResult(one, Outcome.ERROR, words) for one in asked)
    rounds = [
        _Round(one, rule, _told(one, record, environment, run_id, companions), reading, pace)
        for one in asked
    ]
    started = [one.start(companions) for one in rounds]
    return tuple(one.result(begun) for one, begun in zip(rounds, started, strict=True))


def _told(
    validation: Validation,
    record: DeploymentRecord,
    environment: Environment,
    run_id: str,
    companions: Companions,
) -> Mapping[str, str]:
    """The variables of the pipeline; the run that verifies is one, so that a new one tests anew."""
    return {
        "SUITE": validation.value,
        "ENVIRONMENT": environment.name,
        "BASE_URL": environment.base_url or "",
        "COMMIT": record.commit,
        "SERVICES": ",".join(sorted(companions.services)),
        "RUN": run_id,
    }


class _Round:
    """One pipeline of one suite, shared by whoever asks with the same variables."""

    def __init__(
        self,
        validation: Validation,
        rule: SuiteRule,
        told: Mapping[str, str],
        reading: Reading,
        pace: Pace,
    ) -> None:
        self._validation, self._rule, self._told = validation, rule, told
        self._reading, self._pace = reading, pace
        self._key = tuple(sorted(told.items()))

    def start(self, companions: Companions) -> Pipeline | CheckResult:
        """The pipeline, or why there is none."""
        return self._reading.once(("suite", self._key), lambda: self._start(companions))

    def result(self, started: Pipeline | CheckResult) -> CheckResult:
        if isinstance(started, CheckResult):
            return started
        return self._reading.once(("suite result", self._key), lambda: self._await(started))

    @property
    def _repository(self) -> Repository:
        return self._reading.catalog.repository(self._rule.repository)

    def _start(self, companions: Companions) -> Pipeline | CheckResult:
        end = self._pace.monotonic() + self._rule.timeout.total_seconds()
        while not companions.arrived():
            if self._pace.cancelled():
                return self._ended(Outcome.INCONCLUSIVE, "canceled before it was started")
            if self._pace.monotonic() >= end:
                words = "the services beside it did not arrive in time; it was not started"
                return self._ended(Outcome.INCONCLUSIVE, words)
            self._pace.sleep(FIRST_PAUSE)
        try:
            forge, ref = self._reading.ports.forge, self._rule.ref
            return forge.start_pipeline(self._repository, ref, self._told)
        except DeliveryError as error:
            return self._ended(Outcome.ERROR, f"its pipeline could not be started: {error}")

    def _await(self, pipeline: Pipeline) -> CheckResult:
        end = self._pace.monotonic() + self._rule.timeout.total_seconds()
        pause, blind = FIRST_PAUSE, ""
        while not (pipeline.finished or pipeline.state in ENDED):
            if self._pace.cancelled():
                return self._ended(Outcome.INCONCLUSIVE, "canceled while it ran", pipeline)
            if self._pace.monotonic() >= end:
                return self._late(pipeline, blind)
            text = f"{self._validation} tests run: {pipeline.url or pipeline.id}"
            self._pace.on_progress(Progress(Phase.WAITING, text))
            self._pace.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
            try:
                pipeline = self._reading.ports.forge.pipeline(self._repository, pipeline.id)
                blind = ""
            except Transient as error:
                blind = str(error)
            except DeliveryError as error:
                return self._ended(Outcome.ERROR, f"it cannot be read: {error}", pipeline)
        return self._judged(pipeline)

    def _late(self, pipeline: Pipeline, blind: str) -> CheckResult:
        limit = span(self._rule.timeout)
        if blind:
            words = f"it could not be read any more within {limit}: {blind}"
            return self._ended(Outcome.ERROR, words, pipeline)
        return self._ended(Outcome.INCONCLUSIVE, f"it has not ended after {limit}", pipeline)

    def _judged(self, pipeline: Pipeline) -> CheckResult:
        match pipeline.state:
            case PipelineState.SUCCESS:
                return self._ended(Outcome.SUCCESS, "passed", pipeline)
            case PipelineState.FAILED:
                return self._ended(Outcome.FAILURE, self._failed_jobs(pipeline), pipeline)
            case state:
                return self._ended(Outcome.INCONCLUSIVE, f"its pipeline is {state}", pipeline)

    def _failed_jobs(self, pipeline: Pipeline) -> str:
        try:
            jobs = self._reading.ports.forge.jobs(self._repository, pipeline.id)
        except DeliveryError as error:
            return f"failed; its jobs could not be read: {error}"
        failed = (j.name for j in jobs if j.state is PipelineState.FAILED and not j.allow_failure)
        return f"failed: {', '.join(failed) or 'without a failed job'}"

    def _ended(self, outcome: Outcome, words: str, pipeline: Pipeline | None = None) -> CheckResult:
        evidence = {key.lower(): value for key, value in self._told.items() if value}
        if pipeline is None:
            return CheckResult(self._validation, outcome, words, evidence)
        words = f"pipeline {pipeline.id} of {self._rule.repository}: {words}"
        return CheckResult(self._validation, outcome, words, evidence, pipeline.url)
