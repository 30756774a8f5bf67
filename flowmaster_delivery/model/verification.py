"""Verification: what must hold of an image after its rollout before it counts as a way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit
from flowmaster_delivery.model.outcome import Outcome


class Validation(StrEnum):
    """What an environment asks for; in the order in which it is asked."""

    HEALTH = "health"
    SMOKE = "smoke"
    CONTRACT = "contract"
    E2E = "e2e"
    PERFORMANCE = "performance"


SUITES = (Validation.CONTRACT, Validation.E2E)
"""What is a pipeline of the testing repository."""


@dataclass(frozen=True, slots=True)
class HttpStep:
    """One call of a smoke test. `{name}` in path, body and headers stands for a saved value;
    `secret:NAME` as a whole value for the secret of that name, read when it is used."""

    method: str
    path: str
    status: int = 200
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, object] = field(default_factory=dict)
    """Dotted path into the JSON answer to the value that must stand there."""
    save: Mapping[str, str] = field(default_factory=dict)
    """Name to the dotted path of the value that later steps may use."""


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """A named way through a service: calls one after the other, or a container run to its end."""

    name: str
    steps: tuple[HttpStep, ...] = ()
    image: str = ""
    """Reference of a container image, by digest or tag, for a Kubernetes Job instead of calls."""
    command: tuple[str, ...] = ()
    timeout: timedelta = timedelta(seconds=30)
    """For all of it."""


@dataclass(frozen=True, slots=True)
class SuiteRule:
    """The repository whose pipelines are the contract and end-to-end tests.

    A pipeline is told what to run by the variables SUITE, ENVIRONMENT, BASE_URL, COMMIT, SERVICES
    (names with commas between) and RUN, which tells it from one of another run.
    """

    repository: str
    ref: str = "main"
    timeout: timedelta = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class PerformanceRule:
    """Figures right after a rollout (requirements, "Post-Deployment Checks")."""

    limits: tuple[Limit, ...] = (
        Limit(Figure.LATENCY_P95, 0.2, timedelta(minutes=5)),
        Limit(Figure.ERROR_RATE, 0.001, timedelta(minutes=5)),
        Limit(Figure.CPU, 0.7, timedelta(minutes=5)),
        Limit(Figure.MEMORY, 0.8, timedelta(minutes=5)),
    )

    @property
    def window(self) -> timedelta:
        """How long after the rollout it takes until all of it can be judged."""
        return max((limit.window for limit in self.limits), default=timedelta(0))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one validation came to, in words that people can act on."""

    validation: Validation
    outcome: Outcome
    words: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What an image came to after its rollout: only SUCCESS makes it a rollback target.

    `figures` are recorded whether or not the environment asks for them: the watch compares later
    figures with those of the last verified period.
    """

    service: str
    environment: str
    digest: str
    outcome: Outcome
    at: datetime
    run_id: str
    results: tuple[CheckResult, ...] = ()
    figures: tuple[Judgement, ...] = ()

    @property
    def verified(self) -> bool:
        return self.outcome is Outcome.SUCCESS
