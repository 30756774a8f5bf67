"""What removing the old, and leaving, need of the clusters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.retention import FinishedJob


class RunJobs(Protocol):
    """The Jobs of runs in the platform's own namespace; no others are seen."""

    def finished(self) -> tuple[FinishedJob, ...]:
        """Those that have ended, whatever came of them."""

    def remove(self, job: FinishedJob) -> None:
        """With its pods. One that is gone already, or is another by now, is none of ours."""

    def remove_all(self) -> None:
        """Whatever they do just now."""

    def remove_pods(self, names: Iterable[str]) -> None:
        """Pods beside them that were for once: those of the chart's tests."""


class Leftovers(Protocol):
    """What nothing but an uninstalled platform leaves in an environment."""

    def forget(self, names: Iterable[str]) -> None:
        """Delete the leases of these services; those that are not there are none."""


class LeasesOf(Protocol):
    """One door per environment."""

    def __call__(self, environment: Environment) -> Leftovers: ...
