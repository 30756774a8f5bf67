"""Canary: whether one is needed, and what follows from a look at it.

It moves on by a success at the end of a step or by a person's order, and by nothing else. A failure
ends it at once; what is not known holds it, and then a person is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from flowmaster_delivery.model.analysis import Judgement
from flowmaster_delivery.model.canary import (
    Canary,
    CanaryCommand,
    CanaryOrder,
    CanaryRule,
    CanaryStep,
)
from flowmaster_delivery.model.incident import Incident
from flowmaster_delivery.model.outcome import Outcome, worst
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Workload
from flowmaster_delivery.policy.canary_marks import Ending
from flowmaster_delivery.policy.rollout import runs
from flowmaster_delivery.policy.wording import span

DIRECTIONS = (CanaryCommand.PROMOTE, CanaryCommand.ABORT)


class Move(StrEnum):
    WAIT = "wait"
    STEP = "step"
    PROMOTE = "promote"
    END = "end"


@dataclass(frozen=True, slots=True)
class Look:
    """The last judgement of the present step."""

    outcome: Outcome
    at: datetime
    words: str
    errors: int = 0
    """Judgements in a row, this one included, that could not be made."""

    def blind(self, rule: CanaryRule) -> bool:
        return self.outcome is Outcome.ERROR and self.errors >= rule.errors_in_a_row


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows. `outcome` counts where it ends."""

    move: Move
    words: str
    outcome: Outcome = Outcome.INCONCLUSIVE
    ask: bool = False
    """A person is to be asked now."""
    loud: bool = False
    """It ends although nobody decided: people must know."""


def wants_canary(stable: Workload, container: str, reference: str) -> bool:
    """Whether there is something to compare with: pods that run another image."""
    return stable.desired > 0 and not stable.paused and not runs(stable, container, reference)


def expiry(rule: CanaryRule, rollout: timedelta, now: datetime) -> datetime:
    """When a canary that began now is over, whatever happened to it."""
    pauses = sum((step.pause for step in rule.steps), timedelta(0))
    waits = (rule.patience + rule.deadline + rollout) * len(rule.steps)
    return now + pauses + waits + rollout


def is_left_over(canary: Canary | None, digest: str, now: datetime) -> bool:
    """Whether what is on the cluster is none to go on with: foreign, of another image, too old."""
    if canary is None or canary.digest != digest:
        return True
    return canary.verdict in (None, Outcome.SUCCESS) and now >= canary.expires_at


def lost(
    ending: Ending | None,
    digest: str,
    records: Iterable[DeploymentRecord],
    incidents: Iterable[Incident] = (),
) -> Ending | None:
    """An ending of this image that never came on record: whoever saw it was killed before.

    A failure is only told when its incident is on record too, among those that left a hold.
    """
    if ending is None or ending.digest != digest:
        return None
    told = [one for one in records if one.token is not None and one.token >= ending.token]
    if ending.outcome is not Outcome.FAILURE:
        return None if told else ending
    opened = [
        one.opened_at
        for one in incidents
        if one.trigger is Trigger.CANARY and one.from_digest == digest
    ]
    followed = any(at >= record.finished_at for record in told for at in opened)
    return None if followed else ending


def summed_up(judgements: Sequence[Judgement]) -> tuple[Outcome, str]:
    """What the judgements of one look come to, in the words of those that decide it."""
    outcome = worst(one.outcome for one in judgements)
    said = [one.words for one in judgements if one.outcome is outcome]
    return outcome, "; ".join(said) or "nothing was measured"


def counting(orders: Iterable[CanaryOrder], canary: Canary) -> tuple[CanaryOrder, ...]:
    """The orders that speak of this canary, newest first."""
    found = [order for order in orders if order.at > canary.started_at]
    return tuple(sorted(found, key=lambda order: order.at, reverse=True))


def decide(
    canary: Canary,
    rule: CanaryRule,
    look: Look | None,
    orders: Sequence[CanaryOrder],
    now: datetime,
    *,
    unready: str = "",
) -> Decision:
    """What follows from a look at a canary whose step has begun.

    `orders` are those that count, newest first; `unready` says why its share is not what it is
    meant to be.
    """
    ordered = next((order for order in orders if order.command in DIRECTIONS), None)
    if ordered is not None:
        return _ordered(ordered)
    if look is not None and look.outcome is Outcome.FAILURE:
        return Decision(Move.END, look.words, Outcome.FAILURE)
    last = orders[0] if orders else None
    if last is not None and last.command is CanaryCommand.PAUSE:
        return _paused(last, rule, now)
    return _on_its_way(canary, rule, look, last.at if last else None, now, unready)


def _ordered(order: CanaryOrder) -> Decision:
    because = f": {order.reason}" if order.reason else ""
    if order.command is CanaryCommand.PROMOTE:
        return Decision(Move.PROMOTE, f"promoted by {order.by}{because}", Outcome.SUCCESS)
    return Decision(Move.END, f"aborted by {order.by}{because}", Outcome.INCONCLUSIVE)


def _paused(order: CanaryOrder, rule: CanaryRule, now: datetime) -> Decision:
    words = f"paused by {order.by}: {order.reason}"
    if now >= order.at + rule.deadline:
        return _given_up(words, rule)
    return Decision(Move.WAIT, words)


def _on_its_way(
    canary: Canary,
    rule: CanaryRule,
    look: Look | None,
    resumed: datetime | None,
    now: datetime,
    unready: str,
) -> Decision:
    end = (canary.step_began or now) + rule.steps[canary.step].pause
    blind = look is not None and look.blind(rule)
    if not blind and (now < end or look is None or look.at < end):
        return Decision(Move.WAIT, look.words if look else "not judged yet")
    words = unready or (look.words if look else "not judged yet")
    if look is not None and look.outcome is Outcome.SUCCESS and not unready:
        last = canary.step + 1 == len(rule.steps)
        return Decision(Move.PROMOTE if last else Move.STEP, words, Outcome.SUCCESS)
    asked = canary.asked_at
    if asked is not None and (resumed is None or asked >= resumed):
        over = now >= asked + rule.deadline
        return _given_up(words, rule) if over else Decision(Move.WAIT, f"{words}; asked for orders")
    patient_until = max(end, resumed or end) + rule.patience
    ask = now >= patient_until or (blind and (resumed is None or now >= patient_until))
    return Decision(Move.WAIT, words, ask=ask)


def _given_up(words: str, rule: CanaryRule) -> Decision:
    said = f"nobody decided within {span(rule.deadline)}, so it was taken away: {words}"
    return Decision(Move.END, said, Outcome.INCONCLUSIVE, loud=True)


def percent(step: CanaryStep, stable: int) -> int:
    """The weight of a step for a route: its own, else as much as its pods are of all pods."""
    if step.weight is not None:
        return step.weight
    return max(1, round(100 * step.pods / (step.pods + stable)))


def share(canary: Canary, step: CanaryStep, ready: int, stable: int) -> str:
    """The share as what it is: the weight of a route, or pods of pods."""
    if canary.weighted:
        return f"{percent(step, stable)} % by route"
    return f"{ready} of {ready + stable} pods"


def standing(canary: Canary, rule: CanaryRule, share_: str, words: str, now: datetime) -> str:
    """`canary 1 of 4 pods, step 1 of 2, 32 s of 60 s: 0.3 % of 412 requests failed, 1 % may`."""
    step = rule.steps[canary.step]
    passed = max(0.0, (now - (canary.step_began or now)).total_seconds())
    where = f"canary {share_}, step {canary.step + 1} of {len(rule.steps)}"
    return f"{where}, {passed:.0f} s of {step.pause.total_seconds():.0f} s: {words}"
