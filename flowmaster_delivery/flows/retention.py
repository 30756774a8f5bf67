"""Removing the finished Jobs of runs from the cluster."""

from __future__ import annotations

from datetime import datetime

from flowmaster_delivery.model.retention import Line, RetentionRule
from flowmaster_delivery.ports import RunJobs


def sweep_jobs(
    jobs: RunJobs, rule: RetentionRule, now: datetime, *, remove: bool
) -> tuple[Line, ...]:
    """What a run did is on record: its Job is only where its pod's last words can be read."""
    finished = jobs.finished()
    old = [job for job in finished if now - job.at >= rule.jobs]
    for job in old if remove else ():
        jobs.remove(job)
    young = len(finished) - len(old)
    return (
        Line("jobs", "finished runs on the cluster", len(old), True),
        *([Line("jobs", "finished a short while ago", young, False)] if young else []),
    )
