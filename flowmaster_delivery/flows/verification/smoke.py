"""Smoke tests: named ways through a service after its rollout, as a person would go them.

What the service does wrong is a failure: it refuses, it is too slow, it answers otherwise. What
keeps us from asking is an error. Secrets are read when they are used, and shown to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.verification.templates import Missing, Values, found_at
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.errors import DeliveryError, Malformed, Unreachable
from flowmaster_delivery.model.outcome import WORST_FIRST, Outcome, worst
from flowmaster_delivery.model.rollout import Phase, Progress
from flowmaster_delivery.model.verification import CheckResult, HttpStep, SmokeTest, Validation
from flowmaster_delivery.policy.wording import span
from flowmaster_delivery.ports import HttpAnswer, HttpCall, Probe

Secrets = Callable[[str], str]
"""The value of a secret by its name; Permanent where there is none."""

RunContainer = Callable[[SmokeTest], tuple[Outcome, str]]
"""Run the image of a test to its end; what it came to, in words."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What one smoke test came to."""

    test: SmokeTest
    outcome: Outcome
    words: str
    evidence: Mapping[str, str] = field(default_factory=dict)


def smoke(
    service: Service,
    environment: Environment,
    probe: Probe,
    secrets: Secrets,
    run_container: RunContainer,
    pace: Pace,
) -> CheckResult:
    """All smoke tests of the service, one after the other, so that all reasons are seen at once."""
    if not service.smoke:
        words = f"the catalog has no smoke test of {service.name}: there was nothing to run"
        return CheckResult(Validation.SMOKE, Outcome.SUCCESS, words)
    base = f"{(environment.base_url or '').rstrip('/')}/{service.name}"
    tried = []
    for test in service.smoke:
        pace.on_progress(Progress(Phase.WAITING, f"smoke test {test.name} of {service.name}"))
        if test.image:
            tried.append(Tried(test, *run_container(test)))
        elif environment.base_url is None:
            words = f"{environment.name} has no `base_url` in the catalog to send calls to"
            tried.append(Tried(test, Outcome.ERROR, words))
        else:
            tried.append(_Way(test, base, probe, secrets, pace).go())
    return _together(tried, base if environment.base_url else "")


def _together(tried: Iterable[Tried], url: str) -> CheckResult:
    ordered = sorted(tried, key=lambda one: WORST_FIRST.index(one.outcome))
    outcome = worst(one.outcome for one in ordered)
    if outcome is Outcome.SUCCESS:
        words = f"passed: {', '.join(one.test.name for one in ordered)}"
    else:
        bad = [one for one in ordered if one.outcome is not Outcome.SUCCESS]
        words = "; ".join(f"{one.test.name}: {one.words}" for one in bad)
    evidence = {
        f"{one.test.name}: {key}": value for one in ordered for key, value in one.evidence.items()
    }
    return CheckResult(Validation.SMOKE, outcome, words, evidence, url)


class _Way:
    """The calls of one test, until the first that goes wrong."""

    def __init__(
        self, test: SmokeTest, base: str, probe: Probe, secrets: Secrets, pace: Pace
    ) -> None:
        self._test, self._base, self._probe, self._pace = test, base, probe, pace
        self._values = Values(secrets)
        self._evidence: dict[str, str] = {}
        self._end = pace.monotonic() + test.timeout.total_seconds()

    def go(self) -> Tried:
        for number, step in enumerate(self._test.steps, 1):
            wrong = self._stopped(step) or self._take(number, step)
            if wrong:
                outcome, words = wrong
                return Tried(self._test, outcome, self._values.hidden(words), self._evidence)
        return Tried(self._test, Outcome.SUCCESS, "passed", self._evidence)

    def _stopped(self, step: HttpStep) -> tuple[Outcome, str] | None:
        if self._pace.cancelled():
            return Outcome.INCONCLUSIVE, f"canceled before {_named(step)}"
        if self._pace.monotonic() >= self._end:
            limit = span(self._test.timeout)
            return Outcome.FAILURE, f"{_named(step)} was not reached within {limit}"
        return None

    def _take(self, number: int, step: HttpStep) -> tuple[Outcome, str] | None:
        """One call; None where it went well."""
        try:
            call = self._call(step)
        except DeliveryError as error:
            return Outcome.ERROR, f"{_named(step)} cannot be sent: {error}"
        try:
            answer = self._probe.call(call, self._end - self._pace.monotonic())
        except (Unreachable, Malformed) as error:
            return Outcome.FAILURE, f"{_named(step)}: {error}"
        except DeliveryError as error:
            return Outcome.ERROR, f"{_named(step)} could not be asked: {error}"
        said = f"{answer.status} in {answer.seconds:.3f} s"
        self._evidence[f"{number}. {_named(step)}"] = said
        wrong = self._unexpected(step, answer) or self._save(step, answer)
        return (Outcome.FAILURE, wrong) if wrong else None

    def _call(self, step: HttpStep) -> HttpCall:
        values = self._values
        headers = {name: values.in_header(text) for name, text in step.headers.items()}
        body = None if step.body is None else values.filled(step.body)
        return HttpCall(step.method, self._base + values.in_path(step.path), headers, body)

    def _unexpected(self, step: HttpStep, answer: HttpAnswer) -> str:
        """How an answer differs from what the step expects; empty where it does not."""
        if answer.status != step.status:
            return f"{_named(step)} answered {answer.status}, {step.status} was expected"
        if (step.expect or step.save) and answer.json is None:
            return f"{_named(step)} answered {answer.status} without JSON"
        for path, wanted in step.expect.items():
            value = found_at(answer.json, path)
            if isinstance(value, Missing):
                return f"{_named(step)}: `{path}` is missing"
            if not _same(value, wanted):
                is_, should_be = self._values.shown(value), self._values.shown(wanted)
                return f"{_named(step)}: `{path}` is {is_}, {should_be} was expected"
        return ""

    def _save(self, step: HttpStep, answer: HttpAnswer) -> str:
        for name, path in step.save.items():
            value = found_at(answer.json, path)
            if isinstance(value, Missing):
                return f"{_named(step)}: `{path}` is missing, which later steps need as {name}"
            self._values.save(name, value)
        return ""


def _same(value: object, wanted: object) -> bool:
    """As JSON compares: true is not 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _named(step: HttpStep) -> str:
    """As the catalog writes it: what was saved or is secret does not stand in it."""
    return f"{step.method} {step.path}"
