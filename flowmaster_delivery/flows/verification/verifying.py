"""Verification: whether an image is what it should be, after its rollout and in its environment.

Everything that is due is asked, so that all reasons are seen at once; only where the service is not
healthy, or something else runs, would further questions say nothing. Raises nothing: what could not
be asked is an error in the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.measuring import judgements
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.verification.smoke import RunContainer, Secrets, smoke
from flowmaster_delivery.flows.verification.suites import Companions, run_suites
from flowmaster_delivery.model.analysis import Judgement, Limit
from flowmaster_delivery.model.catalog import Environment, Kind, Service
from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import DeploymentRecord, Phase, Progress
from flowmaster_delivery.model.verification import SUITES, CheckResult, Validation, Verification
from flowmaster_delivery.policy.rollout import newest_pods
from flowmaster_delivery.policy.verification import (
    due,
    hindrance,
    not_asked,
    of_figures,
    of_health,
    outcome_of,
    passed_before,
)
from flowmaster_delivery.policy.wording import span

REST_SECONDS = 5.0
"""The longest time between two looks at whether the wait was canceled."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a verification works with, beside the ports."""

    run_id: str
    secrets: Secrets
    run_container: RunContainer
    companions: Companions


def verify(
    record: DeploymentRecord,
    seen: HealthObservation,
    service: Service,
    environment: Environment,
    reading: Reading,
    means: Means,
    pace: Pace,
) -> Verification:
    """What the image of the last rollout came to; `seen` is a look at it after the rollout."""
    work = _Work(record, seen, service, environment, reading, means, pace)
    results = tuple(work.results())
    return Verification(
        service=service.name,
        environment=environment.name,
        digest=record.digest,
        outcome=outcome_of(results),
        at=pace.now(),
        run_id=means.run_id,
        results=results,
        figures=work.figures,
    )


@dataclass(slots=True)
class _Work:
    record: DeploymentRecord
    seen: HealthObservation
    service: Service
    environment: Environment
    reading: Reading
    means: Means
    pace: Pace
    figures: tuple[Judgement, ...] = ()

    def results(self) -> Iterable[CheckResult]:
        """In the order of the validations."""
        health = of_health(self.seen, self.record)
        yield health
        asked = due(self.service, self.environment)[1:]
        why = hindrance(health, self.seen, self.record)
        if why:
            yield from (not_asked(validation, why) for validation in asked)
            return
        if Validation.SMOKE in asked:
            yield self._smoke()
        yield from self._suites([one for one in asked if one in SUITES])
        if Validation.PERFORMANCE in asked:
            yield self._performance()
        else:
            self._measure(self.environment.safeguards_of(self.service).performance.limits)

    def _smoke(self) -> CheckResult:
        probe, means = self.reading.ports.probe, self.means
        return smoke(
            self.service, self.environment, probe, means.secrets, means.run_container, self.pace
        )

    def _suites(self, asked: list[Validation]) -> Iterable[CheckResult]:
        """An image that ran already keeps the answer that it has."""
        if not asked:
            return
        known = self._known() if not self.record.changed else ()
        before = {one: passed_before(one, self.record, known) for one in asked}
        anew = [one for one in asked if before[one] is None]
        run = run_suites(
            anew,
            self.record,
            self.environment,
            self.means.run_id,
            self.means.companions,
            self.reading,
            self.pace,
        )
        told = {one.validation: one for one in run}
        yield from (before[one] or told[one] for one in asked)

    def _known(self) -> tuple[Verification, ...]:
        history = self.reading.ports.history
        return history.verifications(self.service.name, self.environment.name, limit=1)

    def _performance(self) -> CheckResult:
        """Judged once the whole window lies behind the rollout; at once where nothing changed."""
        rule = self.environment.safeguards_of(self.service).performance
        if self.environment.metrics is None:
            return of_figures(())
        if self.record.changed and not self._wait_until(self.record.finished_at + rule.window):
            words = f"canceled before {span(rule.window)} had passed since the rollout"
            return CheckResult(Validation.PERFORMANCE, Outcome.INCONCLUSIVE, words)
        trouble = self._measure(rule.limits)
        if trouble:
            return CheckResult(Validation.PERFORMANCE, Outcome.ERROR, trouble)
        return of_figures(self.figures)

    def _measure(self, limits: Iterable[Limit]) -> str:
        """Measured also where nobody asks for it: the watch compares later figures with these.

        Answers why there are no pods to measure, where that is so.
        """
        if self.environment.metrics is None or self.service.kind is not Kind.DEPLOYMENT:
            return ""
        ports, service, environment = self.reading.ports, self.service, self.environment
        try:
            cluster = ports.cluster(environment)
            pods = newest_pods(cluster.workload(service), cluster.pods(service))
        except DeliveryError as error:
            return f"its pods could not be read: {error}"
        since = self.record.finished_at if self.record.changed else None
        now = self.pace.now()
        self.figures = judgements(limits, service, environment, pods, ports, now, window_from=since)
        return ""

    def _wait_until(self, moment: datetime) -> bool:
        """False where it was canceled."""
        words = f"{self.service.name} is measured at {moment:%H:%M:%S} UTC"
        while (left := (moment - self.pace.now()).total_seconds()) > 0:
            if self.pace.cancelled():
                return False
            self.pace.on_progress(Progress(Phase.WAITING, words))
            self.pace.sleep(min(left, REST_SECONDS))
        return True
