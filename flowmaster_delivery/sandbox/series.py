"""One time series, kept as the few moments at which its growth changed.

Simulated figures grow evenly for minutes, so what lies between two moments need not be kept: a
thousand quiet services cost nothing per second.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

KEPT_FOR = 1200.0
"""Seconds that queries can look back."""


class Series:
    """A counter or gauge from `since` (unix seconds) until `ended`, None while its pod lives."""

    __slots__ = ("_slope", "_times", "_values", "ended", "labels", "name", "since")

    def __init__(self, name: str, labels: Mapping[str, str], now: float) -> None:
        self.name = name
        self.labels = labels
        self.since = now
        self.ended: float | None = None
        self._slope = 0.0
        self._times = array("d", (now,))
        self._values = array("d", (0.0,))

    def at(self, moment: float) -> float:
        """The value at `moment`, which is not before `since`."""
        i = bisect_right(self._times, moment) - 1
        begin, value = self._times[max(i, 0)], self._values[max(i, 0)]
        if i < 0:
            return value
        if i == len(self._times) - 1:
            return value + self._slope * (moment - begin)
        end = self._times[i + 1]
        return value + (self._values[i + 1] - value) * (moment - begin) / (end - begin)

    def grow(self, now: float, per_second: float) -> None:
        """Grow at another rate from now on."""
        if per_second != self._slope:
            self._note(now, self.at(now))
            self._slope = per_second

    def jump(self, now: float, amount: float, sampled: float = math.inf) -> None:
        """Stand higher from now on.

        Between two samples (the last was at `sampled`) nobody sees when exactly: many are one.
        """
        if self._times[-1] > sampled:
            self._values[-1] += amount
            return
        value = self.at(now)
        self._note(now, value)
        self._note(now, value + amount)

    def put(self, now: float, value: float) -> None:
        """A gauge stands at `value` from now on."""
        if self._slope or self._values[-1] != value:
            self._slope = 0.0
            self.jump(now, value - self.at(now))

    def samples(self, ticks: Sequence[float], after: float, until: float) -> Sequence[float]:
        """Those of the moments in (after, until] at which the series was there."""
        first = max(bisect_right(ticks, after), bisect_left(ticks, self.since))
        last = bisect_right(ticks, until)
        if self.ended is not None:
            last = min(last, bisect_left(ticks, self.ended))
        return ticks[first:last]

    def _note(self, now: float, value: float) -> None:
        times, values = self._times, self._values
        now = max(now, times[-1])  # the clock may have been set back
        if len(times) > 1 and times[-2] == now:
            values[-1] = value
            return
        times.append(now)
        values.append(value)
        if times[0] < now - 2 * KEPT_FOR:
            forgotten = max(bisect_right(times, now - KEPT_FOR) - 1, 0)
            del times[:forgotten]
            del values[:forgotten]
