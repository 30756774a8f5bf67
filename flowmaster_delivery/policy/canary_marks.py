"""The annotations that carry a canary through the death of whoever watches it, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.model.canary import Canary
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.policy.rollout import FENCE

RUN = "flowmaster.ai/run"
DIGEST = "flowmaster.ai/digest"
VERSION = "flowmaster.ai/version"
STARTED = "flowmaster.ai/canary-started"
EXPIRES = "flowmaster.ai/canary-expires"
STEP = "flowmaster.ai/canary-step"
BEGAN = "flowmaster.ai/canary-step-began"
ASKED = "flowmaster.ai/canary-asked"
WEIGHTED = "flowmaster.ai/canary-weighted"
SAID = "flowmaster.ai/canary-said"
VERDICT = "flowmaster.ai/canary-verdict"
LAST = "flowmaster.ai/canary-last"
"""On the service's own Deployment: how its last canary ended, until that is on record."""
LONGEST = 1000
"""Characters of words that are kept."""


def marks(canary: Canary) -> dict[str, str | None]:
    """All that is to be known of the canary; steps are counted from 1 for who reads them."""
    return {
        FENCE: str(canary.token),
        RUN: canary.run_id,
        DIGEST: canary.digest,
        VERSION: canary.version,
        STARTED: canary.started_at.isoformat(),
        EXPIRES: canary.expires_at.isoformat(),
        STEP: str(canary.step + 1),
        BEGAN: canary.step_began.isoformat() if canary.step_began else None,
        ASKED: canary.asked_at.isoformat() if canary.asked_at else None,
        WEIGHTED: "true" if canary.weighted else None,
        SAID: canary.said[:LONGEST] or None,
        VERDICT: canary.verdict.value if canary.verdict else None,
    }


def read(annotations: Mapping[str, str]) -> Canary | None:
    """The canary that the annotations speak of; None where they are not of our form."""
    try:
        return Canary(
            digest=annotations[DIGEST],
            run_id=annotations[RUN],
            token=int(annotations[FENCE]),
            started_at=_moment(annotations[STARTED]),
            expires_at=_moment(annotations[EXPIRES]),
            step=max(0, int(annotations[STEP]) - 1),
            step_began=_moment(annotations[BEGAN]) if BEGAN in annotations else None,
            asked_at=_moment(annotations[ASKED]) if ASKED in annotations else None,
            weighted=annotations.get(WEIGHTED) == "true",
            version=annotations.get(VERSION),
            said=annotations.get(SAID, ""),
            verdict=Outcome(annotations[VERDICT]) if VERDICT in annotations else None,
        )
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a canary ended that is gone, as long as that may not be on record."""

    digest: str
    token: int
    outcome: Outcome
    words: str


def ending_mark(ending: Ending) -> dict[str, str | None]:
    said = ending.words[:LONGEST]
    return {LAST: f"{ending.digest} {ending.token} {ending.outcome.value} {said}"}


def read_ending(annotations: Mapping[str, str]) -> Ending | None:
    """None where there is none, or none of our form."""
    try:
        digest, token, outcome, words = annotations.get(LAST, "").split(" ", 3)
        return Ending(digest, int(token), Outcome(outcome), words)
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    """A moment with its zone; ValueError for one without."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return moment
