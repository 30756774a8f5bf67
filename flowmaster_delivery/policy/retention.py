"""What may be removed: nothing that is evidence, nothing that something else still needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.retention import Line, OldRun, RetentionRule, RunEnd

K = TypeVar("K")


def why_kept(run: OldRun, rule: RetentionRule, now: datetime) -> str:
    """Empty where it may go."""
    if now - run.at < rule.runs:
        return f"not {rule.runs.days} days old yet"
    if run.records:
        return "evidence: they recorded what was done"
    if run.touched:
        return "evidence: they began to change a service"
    if run.ships and run.answers:
        return "evidence: they say why something was refused"
    if run.has_followers:
        return "other runs were started again from them"
    if run.newest_of_ref:
        return "the last of their ref: it would be delivered once more"
    return ""


def why_removed(run: OldRun) -> str:
    if not run.began:
        called_off = run.ended is RunEnd.CANCELED
        return "called off before they began" if called_off else "refused before they began"
    if run.ended is RunEnd.SUCCESS or not run.ships:
        return "only asked what would happen"
    return "ended before anything happened"


def lines_of_runs(runs: Iterable[OldRun], rule: RetentionRule, now: datetime) -> tuple[Line, ...]:
    """What becomes of them, by reason; what is removed first."""
    kept = Counter[str]()
    removed = Counter[str]()
    for run in runs:
        reason = why_kept(run, rule, now)
        (kept if reason else removed)[reason or why_removed(run)] += 1
    return (
        *(Line("runs", why, count, True) for why, count in sorted(removed.items())),
        *(Line("runs", why, count, False) for why, count in sorted(kept.items())),
    )


def heartbeats(looks: Iterable[tuple[K, HealthObservation]]) -> Iterator[K]:
    """Those of one service in one environment, oldest first, between two that say the same.

    Where health changes, both sides of the change stay, and so does everything that was not well.
    """
    before: HealthObservation | None = None
    held: tuple[K, HealthObservation] | None = None
    for key, look in looks:
        if held and before and _same(before, held[1]) and _same(held[1], look):
            yield held[0]
        elif held:
            before = held[1]
        held = (key, look)


def _same(one: HealthObservation, other: HealthObservation) -> bool:
    well = one.state is other.state is HealthState.HEALTHY
    return well and (one.digest, one.fingerprint) == (other.digest, other.fingerprint)
