"""Where back is: the last verified image, never the one that was rolled back from."""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime

from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)


def verified_before(
    records: Iterable[DeploymentRecord], healthy: Set[str], known_since: datetime | None
) -> DeploymentRecord | None:
    """The newest success on another image than the last one tried, that was seen healthy.

    `records` newest first; `healthy` are the digests that were seen healthy since `known_since`
    (None: since ever). What ended before that counts as verified: nobody rolled it back.
    """
    newest_first = tuple(records)
    if not newest_first:
        return None
    bad = rolled_back_from(newest_first)
    for record in newest_first:
        verified = record.digest in healthy or _before(record, known_since)
        other = record.digest != newest_first[0].digest and record.digest not in bad
        if record.outcome is Outcome.SUCCESS and other and verified:
            return record
    return None


def rolled_back_from(newest_first: Iterable[DeploymentRecord]) -> frozenset[str]:
    """Digests that a rollback left and that nobody has brought back since."""
    bad: set[str] = set()
    for record in reversed(tuple(newest_first)):
        if record.outcome is not Outcome.SUCCESS:
            continue
        if record.method is Method.ROLLBACK and record.previous_digest and record.changed:
            bad.add(record.previous_digest)
        bad.discard(record.digest)
    return frozenset(bad)


def _before(record: DeploymentRecord, moment: datetime | None) -> bool:
    return moment is not None and record.finished_at < moment
