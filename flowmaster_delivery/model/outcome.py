"""What something came to: one enum for rollouts, judgements and tests."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Outcome(StrEnum):
    """Only failure rolls back; error and inconclusive hold."""

    SUCCESS = "success"
    FAILURE = "failure"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


WORST_FIRST = (Outcome.FAILURE, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.SUCCESS)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """One failure is a failure, whatever else could not be told; of nothing nothing is known."""
    found = set(outcomes)
    return next((one for one in WORST_FIRST if one in found), Outcome.INCONCLUSIVE)
