"""How policy says times and spans, the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def span(time: timedelta) -> str:
    """The two largest units, rounded down: `31 h`, `1 h 5 min`, `12 s`. Days from three on."""
    left = max(int(time.total_seconds()), 0)
    units = UNITS if left >= 3 * 86_400 else UNITS[1:]
    parts = []
    for unit, seconds in units:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}")
        if parts and (len(parts) == 2 or not count):
            break
    return " ".join(parts) or "0 s"


def moment(time: datetime, now: datetime) -> str:
    """A time in UTC, as short as it is clear: `14:00:05`, `14:00`, `Tue 14:00`, with its date."""
    utc = time.astimezone(UTC)
    distance = abs(time - now)
    if distance < timedelta(minutes=10):
        return f"{utc:%H:%M:%S} UTC"
    if utc.date() == now.astimezone(UTC).date():
        return f"{utc:%H:%M} UTC"
    if distance < timedelta(days=6):
        return f"{utc:%a %H:%M} UTC"
    return f"{utc:%Y-%m-%d %H:%M} UTC"
