"""Looks from outside at what runs: its endpoints and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from flowmaster_delivery.model.analysis import Sample
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.health import ProbeResult


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One request; `body` is sent as JSON."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: object = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`json` is the parsed body, None where it is none."""

    status: int
    json: object
    seconds: float


class Probe(Protocol):
    """HTTP looks at public addresses."""

    def get(self, url: str, timeout: float) -> ProbeResult:
        """Never raises for what the far end does: that is what it reports."""

    def call(self, request: HttpCall, timeout: float) -> HttpAnswer:
        """Send one request of a smoke test. Raise Unreachable without an answer in time.

        Refused, cut off and too late are Unreachable, an answer without end is Malformed: that is
        the far end's doing. What keeps us from asking at all is another error.
        """


class Metrics(Protocol):
    """The metrics server of one environment (Prometheus)."""

    def query(self, expression: str, at: datetime) -> tuple[Sample, ...]:
        """What an expression comes to at a moment; empty where there is no such series.

        Raise Transient where the server cannot be asked or answers in part only, Malformed where it
        refuses the expression.
        """


class MetricsOf(Protocol):
    """The metrics servers, one door per environment."""

    def __call__(self, environment: Environment) -> Metrics:
        """Raise Permanent where the environment has none."""
