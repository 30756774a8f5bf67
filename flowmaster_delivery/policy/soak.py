"""Soak: how long a fingerprint has been seen healthy in an environment (design §9, "Soak").

Counted from health observations, never from the clock alone: time between two looks counts only
if both saw it well and no heartbeat is missing between them (`HealthRule.longest_gap`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.health import HealthObservation, HealthRule, HealthState

BROKEN = frozenset({HealthState.DEGRADED, HealthState.MISSING})
"""States that end a soak when they last; the others that are not healthy only pause it."""

NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Soak:
    """What a fingerprint has earned, up to the last look at it."""

    earned: timedelta = NOTHING
    since: datetime | None = None
    """When the unbroken count began; None where it has not."""
    last: HealthObservation | None = None
    """The last look at this fingerprint."""
    here: bool = False
    """Whether it is what runs there, as far as the last look knows."""
    paused: timedelta = NOTHING
    """Time since the count began that does not count."""
    broken: HealthObservation | None = None
    """The look that ended the count last."""
    expired: bool = False
    """Whether it was earned too long ago to count."""

    def fresh(self, rule: HealthRule, now: datetime) -> bool:
        """Whether the last look is young enough to speak about now."""
        return self.last is not None and now - self.last.at <= rule.longest_gap

    def complete_at(self, required: timedelta, rule: HealthRule, now: datetime) -> datetime | None:
        """When it will be long enough if all stays well; None where nothing is being counted.

        Looks are recorded once a heartbeat, so it is the heartbeat after the time is full.
        """
        if self.last is None or not (self.here and self.fresh(rule, now)):
            return None
        if self.last.state is not HealthState.HEALTHY:
            return None
        beats = ceil((required - self.earned) / rule.heartbeat) if rule.heartbeat else 0
        return max(now, self.last.at + max(beats, 0) * rule.heartbeat)


def reach(environment: Environment, service: Service) -> timedelta:
    """How far back looks upstream may count for a soak."""
    return environment.soak.earned_for + environment.soak.required(service) + timedelta(days=1)


def observed(
    observations: Iterable[HealthObservation],
    fingerprint: str,
    rule: HealthRule,
    now: datetime,
    earned_for: timedelta = timedelta(days=14),
) -> Soak:
    """What the fingerprint has earned by the observations of one service in one environment.

    They are taken in the order of their times and those after `now` are left out: a clock that
    jumps can make a soak longer than it need be, and never counts time that nobody watched.
    """
    count = _Count(fingerprint, rule, earned_for)
    for observation in sorted((o for o in observations if o.at <= now), key=lambda o: o.at):
        count.take(observation)
    return count.result(now)


class _Count:
    """The count while it is made, one look after the other."""

    def __init__(self, fingerprint: str, rule: HealthRule, earned_for: timedelta) -> None:
        self.fingerprint, self.rule, self.earned_for = fingerprint, rule, earned_for
        self.running: str | None = None
        self.previous: HealthObservation | None = None
        self.unwell: datetime | None = None
        self.counting = False
        self.earned = NOTHING
        self.since: datetime | None = None
        self.last: HealthObservation | None = None
        self.broken: HealthObservation | None = None

    def take(self, look: HealthObservation) -> None:
        ours = self._is_ours(look)
        if ours:
            self._expire(look)
            if self._breaks(look):
                self.earned, self.since, self.broken = NOTHING, None, look
            self.last = look
        well = look.state is HealthState.HEALTHY
        counts = ours and not self._lasts(look)
        self._add(look, counts=counts)
        if ours and self.since is None and well:
            self.since = look.at
        self.unwell = None if well or not ours else self.unwell or look.at
        self.previous, self.counting = look, self.since is not None and (counts or (ours and well))

    def result(self, now: datetime) -> Soak:
        last = self.last
        if last is None:
            return Soak()
        here = self.running == self.fingerprint
        expired = not here and now - last.at > self.earned_for
        earned = NOTHING if expired else self.earned
        whole = last.at - self.since if self.since else NOTHING
        return Soak(
            earned=earned,
            since=self.since,
            last=last,
            here=here,
            paused=max(whole - self.earned, NOTHING),
            broken=self.broken,
            expired=expired,
        )

    def _is_ours(self, look: HealthObservation) -> bool:
        """A look that saw nothing running speaks of what ran before; a healthy one must say it."""
        if look.fingerprint is not None or look.state is HealthState.HEALTHY:
            self.running = look.fingerprint
        return self.running == self.fingerprint

    def _expire(self, look: HealthObservation) -> None:
        if self.last and look.at - self.last.at > self.earned_for:
            self.earned, self.since = NOTHING, None

    def _lasts(self, look: HealthObservation) -> bool:
        """Up to this look it was not healthy, and for longer than a single blip."""
        patience = self.rule.failures_in_a_row * self.rule.look_every
        if self.unwell is not None and look.at - self.unwell >= patience:
            return True
        return self._failed_in_a_row(look)

    def _failed_in_a_row(self, look: HealthObservation) -> bool:
        unhealthy = look.state is not HealthState.HEALTHY
        return unhealthy and look.failures_in_a_row >= self.rule.failures_in_a_row

    def _breaks(self, look: HealthObservation) -> bool:
        return look.state in BROKEN and self._failed_in_a_row(look)

    def _add(self, look: HealthObservation, *, counts: bool) -> None:
        if not (self.previous and self.counting and counts):
            return
        step = look.at - self.previous.at
        if step <= self.rule.longest_gap:
            self.earned += step
