"""Override: whether a candidate is let past a closed gate, by whom and until when.

Everything is asked again at the moment of effect: who is of the group, what policy lets be
overridden and for how long. What does not count is said where the gate is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from flowmaster_delivery.model.catalog import OverrideRule
from flowmaster_delivery.model.facts import Unread
from flowmaster_delivery.model.promotion import Candidate, GateCheck, GateState, Override
from flowmaster_delivery.policy.questions.asking import Asked
from flowmaster_delivery.policy.wording import moment


def ends(override: Override, rule: OverrideRule) -> datetime:
    """When it ends: as it says, or earlier where policy gives it less time by now."""
    return min(override.expires_at, override.at + rule.lasts)


def flaw(
    override: Override,
    rule: OverrideRule,
    commit: str,
    members: frozenset[str] | Unread,
    now: datetime,
) -> str:
    """Why it does not count for the candidate of a commit; empty where it does."""
    if override.gate not in rule.gates:
        return f"policy lets nobody override {override.gate}"
    if now >= ends(override, rule):
        return f"expired {moment(ends(override, rule), now)}"
    if override.commit != commit:
        return f"was given for {override.commit[:8]}, before the tag moved"
    if isinstance(members, Unread):
        return f"whether {override.by} is of {rule.group} could not be read: {members.why}"
    if override.by not in members:
        return f"{override.by} is not of {rule.group}"
    return ""


def let_past(check: GateCheck, asked: Asked) -> GateCheck:
    """The check as it is, or OVERRIDDEN where it is closed and somebody lets the candidate past.

    A closed one names every override of its gate that does not count, with the reason.
    """
    rule, facts = asked.environment.override, asked.facts.overrides
    if rule is None or not check.closed:
        return check
    if isinstance(facts, Unread):
        return _with(check, {"overrides": f"could not be read: {facts.why}"})
    here = [one for one in facts.recorded if _concerns(one, check, asked.candidate)]
    flaws = {o: flaw(o, rule, asked.candidate.commit, facts.members, asked.now) for o in here}
    valid = [override for override, why in flaws.items() if not why]
    if valid:
        longest = max(valid, key=lambda one: (ends(one, rule), one.id))
        return _overridden(check, longest, ends(longest, rule), asked.now)
    return _with(check, {f"override {one.id} by {one.by}": why for one, why in flaws.items()})


def overridden(checks: Iterable[GateCheck]) -> tuple[str, ...]:
    """What was overridden, a sentence for each gate, as records and people are told."""
    found = (check for check in checks if check.state is GateState.OVERRIDDEN)
    return tuple(f"{check.gate} {check.summary}" for check in found)


def _concerns(override: Override, check: GateCheck, candidate: Candidate) -> bool:
    here = (check.gate, candidate.environment, candidate.repository, candidate.version)
    return here == (override.gate, override.environment, override.repository, override.version)


def _overridden(check: GateCheck, override: Override, until: datetime, now: datetime) -> GateCheck:
    named = {
        "overridden by": override.by,
        "override reason": override.reason,
        "until": until.isoformat(),
        "override": override.id,
        "without it": f"{check.state}: {check.summary}",
    }
    words = f"overridden by {override.by} until {moment(until, now)}: {override.reason}"
    return replace(
        _with(check, named),
        state=GateState.OVERRIDDEN,
        summary=f"{words} ({check.summary})",
        remedy="",
        opens_at=None,
    )


def _with(check: GateCheck, evidence: dict[str, str]) -> GateCheck:
    return replace(check, evidence={**check.evidence, **evidence})
