"""Who answers the next request, and which share of them each pod gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class RunningPod(Protocol):
    """What the cluster tells of a pod (`sandbox.kubernetes.RunningPod`)."""

    @property
    def name(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def ready(self) -> bool: ...
    @property
    def since(self) -> datetime: ...


class Backend(Protocol):
    """Pods that together get what `weight` says (`sandbox.kubernetes.Backend`)."""

    @property
    def weight(self) -> int: ...
    @property
    def pods(self) -> Sequence[RunningPod]: ...


def shares_of(backends: Sequence[Backend]) -> Iterator[tuple[RunningPod | None, float]]:
    """Each ready pod with its share of the requests (all of them are 1), evenly within a backend.

    None stands for nobody: the share of a backend without a ready pod is answered by none.
    """
    whole = sum(backend.weight for backend in backends)
    for backend in backends:
        if not backend.weight:
            continue
        ready = [pod for pod in backend.pods if pod.ready]
        share = backend.weight / whole
        if not ready:
            yield None, share
        for pod in ready:
            yield pod, share / len(ready)


@dataclass(slots=True)
class Turns:
    """Takes turns by shares, as smoothly as they allow: whoever has waited longest is next."""

    _waited: dict[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)

    def next(self, service: tuple[str, str], backends: Sequence[Backend]) -> RunningPod | None:
        """The pod that answers the next request to a service (namespace, name); None for nobody."""
        shares = [(pod, pod.name if pod else "", share) for pod, share in shares_of(backends)]
        if not shares:
            return None
        before = self._waited.get(service, {})
        waited = {name: before.get(name, 0.0) + share for _, name, share in shares}
        chosen, name, _ = max(shares, key=lambda row: round(waited[row[1]], 9))
        waited[name] -= 1.0
        self._waited[service] = waited
        return chosen
