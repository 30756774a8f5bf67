"""A probe that answers as it was told; 200 for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowmaster_delivery.model.health import ProbeResult


@dataclass
class FakeProbe:
    answers: dict[str, ProbeResult] = field(default_factory=dict)

    def get(self, url: str, timeout: float) -> ProbeResult:
        return self.answers.get(url, ProbeResult(url, 200, 0.01))
