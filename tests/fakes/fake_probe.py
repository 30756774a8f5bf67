"""A probe that answers as it was told; 200 for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmaster_delivery.model.errors import DeliveryError
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.ports import HttpAnswer, HttpCall


@dataclass
class FakeProbe:
    answers: dict[str, ProbeResult] = field(default_factory=dict)
    said: dict[str, HttpAnswer | DeliveryError] = field(default_factory=dict)
    """What a call is answered with, by "METHOD url"."""
    called: list[HttpCall] = field(default_factory=list)

    def get(self, url: str, timeout: float) -> ProbeResult:
        return self.answers.get(url, ProbeResult(url, 200, 0.01))

    def call(self, request: HttpCall, timeout: float) -> HttpAnswer:
        self.called.append(request)
        answer = self.said.get(f"{request.method} {request.url}", HttpAnswer(200, {}, 0.01))
        if isinstance(answer, DeliveryError):
            raise answer
        return answer
