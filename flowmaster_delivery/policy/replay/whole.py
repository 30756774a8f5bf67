"""The whole replay: promotions and rollbacks of one environment, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.timeline import Timeline
from flowmaster_delivery.policy.replay.findings import Replay
from flowmaster_delivery.policy.replay.promotions import promotions
from flowmaster_delivery.policy.replay.rollbacks import rollbacks


def replay(
    timeline: Timeline, policy: Catalog, environment: str, since: datetime, until: datetime
) -> Replay:
    """What the policy would have done in an environment between two moments. No effect on anything.

    Raise UnknownName where the policy has no such environment.
    """
    place = policy.environment(environment)
    found = [
        *promotions(timeline, policy, place, since),
        *rollbacks(timeline, policy, place, since),
    ]
    ordered = sorted(found, key=lambda f: (f.at, f.service, f.would, f.happened, f.why))
    notes = tuple(_notes(timeline, policy))
    return Replay(environment, since, until, tuple(ordered), notes)


def _notes(timeline: Timeline, policy: Catalog) -> Iterator[str]:
    recorded = {a.candidate.service for a in timeline.admissions}
    recorded |= {record.service for record in timeline.deployments}
    for name in sorted(recorded - set(policy.services)):
        yield f"{name} is on record and not in this policy's catalog"
    for cut in timeline.cuts:
        yield (
            f"looks at {cut.service} in {cut.environment} before "
            f"{cut.before:%Y-%m-%d %H:%M} UTC were left out: ask about a shorter time"
        )
    yield (
        "figures are on record with incidents, verifications and canaries: a stricter limit than "
        "the one in force then is judged by those alone"
    )
