"""What removing the old needs of the cluster that runs are executed on."""

from __future__ import annotations

from typing import Protocol

from flowmaster_delivery.model.retention import FinishedJob


class RunJobs(Protocol):
    """The Jobs of runs in the platform's own namespace; no others are seen."""

    def finished(self) -> tuple[FinishedJob, ...]:
        """Those that have ended, whatever came of them."""

    def remove(self, job: FinishedJob) -> None:
        """With its pods. One that is gone already, or is another by now, is none of ours."""
