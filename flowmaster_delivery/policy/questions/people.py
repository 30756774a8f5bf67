"""Questions about what people say: approvals, holds, freezes."""

from __future__ import annotations

from flowmaster_delivery.model.facts import Unread
from flowmaster_delivery.model.promotion import EVERY_SERVICE, Hold
from flowmaster_delivery.policy.approvals import Tally, tally
from flowmaster_delivery.policy.freeze import frozen, opens
from flowmaster_delivery.policy.questions.asking import Answer, Asked, met, unmet
from flowmaster_delivery.policy.wording import moment

SHOWN = 5
"""Names of people who could still approve that a remedy lists."""


def approvals(asked: Asked) -> Answer | Unread:
    """Enough different members of the group consented to exactly this candidate."""
    rule = asked.environment.approvals
    if isinstance(asked.facts.approvals, Unread):
        return asked.facts.approvals
    found = tally(asked.candidate, rule, asked.facts.approvals)
    words = _words(found)
    evidence = {
        "counted": ", ".join(found.counted),
        "group": rule.group,
        **{f"not counted: {name}": why for name, why in found.refused.items()},
    }
    if found.met:
        return met(words, evidence)
    return unmet(words, _remedy(asked, found), evidence)


def _words(found: Tally) -> str:
    counted = f": {', '.join(found.counted)}" if found.counted else ""
    refused = "".join(f"; {name} does not count ({why})" for name, why in found.refused.items())
    unknown = "".join(
        f"; GitLab knows nobody by the commit e-mail {mail}" for mail in found.unknown_emails
    )
    return f"approvals {len(found.counted)} of {found.needed}{counted}{refused}{unknown}"


def _remedy(asked: Asked, found: Tally) -> str:
    wanted = []
    missing = found.needed - len(found.counted)
    if missing > 0:
        candidate, group = asked.candidate, asked.environment.approvals.group
        command = f"flowmaster approve {candidate.environment} {candidate.version or 'VERSION'}"
        could = ", ".join(found.could[:SHOWN]) or "nobody is left"
        wanted.append(f"{missing} more of {group} ({could}): {command}")
    if found.unknown_emails:
        wanted.append("let the authors add their commit e-mails to their GitLab accounts")
    return "; ".join(wanted)


def freeze(asked: Asked) -> Answer | Unread:
    """No freeze window is on."""
    windows, now = asked.environment.freezes, asked.now
    on = frozen(windows, now)
    if not on:
        return met("no freeze is on")
    ends = opens(windows, now)
    names = ", ".join(one.window.name for one in on)
    words, evidence = f"frozen by {names}", {"windows": names}
    if ends is None:
        return unmet(words, "it never ends: mend the freezes of the catalog", evidence)
    evidence["until"] = ends.isoformat()
    return unmet(words, f"opens {moment(ends, now)}", evidence, opens_at=ends)


def hold(asked: Asked) -> Answer | Unread:
    """Nobody holds the service in this environment, nor this source of it."""
    holds = asked.facts.holds
    if isinstance(holds, Unread):
        return holds
    active = [one for one in holds if one.stops(asked.candidate)]
    if not active:
        return met("not held")
    words = "; ".join(_held(one, asked) for one in active)
    commands = " and ".join(f"flowmaster hold release {one.id}" for one in active)
    return unmet(words, f"release it when it is mended: {commands}")


def _held(one: Hold, asked: Asked) -> str:
    all_of_it = one.service == EVERY_SERVICE
    what = f"everything in {one.environment} is held" if all_of_it else "held"
    return f"{what} by {one.author} since {moment(one.at, asked.now)}: {one.reason}"
