"""Releases: which services came together, and so go back together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Admission
from flowmaster_delivery.model.rollout import DeploymentRecord, Method

Recorded = Mapping[str, Sequence[DeploymentRecord]]
"""Service to what was done to it, newest first."""


def of_release(service: str, recorded: Recorded) -> tuple[str, ...]:
    """The services whose last change belongs to the release that brought what the service runs:
    the same run, else the same version or commit."""
    last = {name: _last_rollout(records) for name, records in recorded.items()}
    own = last.get(service)
    if own is None:
        return (service,)
    return tuple(name for name, record in last.items() if record and _same_release(own, record))


def of_last_release(recorded: Recorded) -> tuple[str, ...]:
    """The services that the newest release changed. What ran already, or stands as it was since
    its canary failed, did not come with it."""
    last = ((name, _last_rollout(records)) for name, records in recorded.items())
    known = [(record.finished_at, name) for name, record in last if record]
    return of_release(max(known)[1], recorded) if known else ()


def that_ran(version: str, recorded: Recorded) -> tuple[str, ...]:
    """The services that ever ran the version."""
    return tuple(n for n, records in recorded.items() if any(r.version == version for r in records))


def _last_rollout(records: Iterable[DeploymentRecord]) -> DeploymentRecord | None:
    return next((r for r in records if r.method is Method.ROLLOUT and r.changed), None)


def _same_release(one: DeploymentRecord, other: DeploymentRecord) -> bool:
    if one.run_id and one.run_id == other.run_id:
        return True
    return one.commit == other.commit and one.version == other.version


def ends(record: DeploymentRecord, admission: Admission) -> bool:
    """Whether what was admitted came to an end by this record. What no cluster could be asked for,
    and what a crash cut off, has none yet."""
    of_it = record.digest == admission.candidate.digest and record.started_at >= admission.at
    return of_it and record.outcome in (Outcome.FAILURE, Outcome.INCONCLUSIVE)
