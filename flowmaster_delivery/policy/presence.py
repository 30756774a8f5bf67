"""Presence: whether a run's process is still there, by looks that Kubernetes may not answer.

No answer says nothing of the run: its pod goes on deploying while the API server is away. Calling
it failed at once would start a second one beside it. So silence counts only when it lasts. That a
Job is gone and no pod of it lives is an answer; it counts when two looks in a row give it, since
one may come from an API server that has just been restored or restarted.

Times are seconds of a clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LOOKS_GONE = 2
"""Looks in a row that must find nothing before a run counts as gone."""
FORGOTTEN = 3600.0
"""Seconds after which a run that nobody looks for any more has ended."""


class Look(StrEnum):
    """What one look at a run's Job and pods says."""

    THERE = "there"
    GONE = "gone"
    SILENT = "silent"
    """No answer, or none that tells."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What is remembered of a run that was not seen."""

    since: float
    """When it was first not seen."""
    last: float
    gone: int = 0
    """Looks in a row that found nothing; silence in between takes nothing away."""


def missed(before: Absence | None, look: Look, now: float) -> Absence | None:
    """What to remember after a look; None once the run was seen."""
    if look is Look.THERE:
        return None
    begun = before or Absence(now, now)
    return Absence(begun.since, now, begun.gone + (look is Look.GONE))


def given_up(absence: Absence | None, patience: float) -> bool:
    """Whether a run counts as lost: gone for sure, or not seen for longer than the patience."""
    if absence is None:
        return False
    return absence.gone >= LOOKS_GONE or absence.last - absence.since > patience


def still_looked_for(absences: Mapping[str, Absence], now: float) -> dict[str, Absence]:
    """Without what nobody looked for in an hour: nobody says when a run has ended."""
    return {run: kept for run, kept in absences.items() if now - kept.last <= FORGOTTEN}
