"""What was seen of GitLab: our token, the groups that policy names, the webhooks of projects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.checkup import Finding, HookFacts, TokenFacts, Topic
from flowmaster_delivery.policy.checkup.grading import failed, fine, warning

SCOPE = "api"
SOON = timedelta(days=14)
EVENTS = frozenset({"push", "tag_push", "pipeline"})
"""What new images are noticed by; merge requests only make approvals seen sooner."""
RECEIVER = "/webhooks/gitlab"
RENEW = "make a new one (scope api) and put it where FLOWMASTER_GITLAB_TOKEN_FILE points"


def of_token(facts: TokenFacts, now: datetime) -> Iterator[Finding]:
    whose = f"of {facts.user}, scopes {', '.join(sorted(facts.scopes)) or 'none'}"
    if SCOPE not in facts.scopes:
        seen = f"{whose}: without the scope {SCOPE} nothing can be recorded"
        yield failed(Topic.GITLAB, "token", seen, RENEW)
    left = facts.expires_on - now.date() if facts.expires_on else None
    if left is not None and left <= SOON:
        seen = f"{whose}: it ends on {facts.expires_on}"
        yield warning(Topic.GITLAB, "token", seen, RENEW)
    elif SCOPE in facts.scopes:
        until = f", until {facts.expires_on}" if facts.expires_on else ", without an end"
        yield fine(Topic.GITLAB, "token", whose + until)


def groups_of(catalog: Catalog) -> dict[str, int]:
    """Full path of every group that policy names to how many people it takes at least."""
    needed: dict[str, int] = {}
    for place in catalog.environments.values():
        named = [(place.operators, 1), (place.approvals.group, place.approvals.count)]
        named += [(rule.group, 1) for rule in (place.hotfix, place.override) if rule]
        for group, count in named:
            if group:
                needed[group] = max(needed.get(group, 0), count)
    return needed


def of_group(group: str, members: int, needed: int) -> Finding:
    if members < needed:
        seen = f"{members} active people are direct members, and policy asks for {needed}"
        mend = f"add people to the group {group} itself (inherited members do not count)"
        return failed(Topic.GITLAB, f"group {group}", seen, mend)
    return fine(Topic.GITLAB, f"group {group}", f"{members} active people")


def of_hooks(project: str, hooks: Iterable[HookFacts]) -> Finding:
    """Without one everything works, and is noticed later: a warning at most."""
    about = f"webhook of {project}"
    ours = [hook for hook in hooks if hook.url.rstrip("/").endswith(RECEIVER)]
    if not ours:
        mend = f"add one to …{RECEIVER} for {', '.join(sorted(EVENTS))} events with the secret"
        seen = f"no webhook leads to {RECEIVER}; news is noticed by asking, seconds later"
        return warning(Topic.GITLAB, about, seen, mend)
    working = [hook for hook in ours if not hook.paused]
    if not working:
        mend = "see its last deliveries in GitLab, mend what keeps them, and send a test"
        return warning(Topic.GITLAB, about, "GitLab has paused it, since deliveries failed", mend)
    absent = EVENTS - frozenset[str]().union(*(hook.events for hook in working))
    if absent:
        mend = "switch these events on"
        return warning(
            Topic.GITLAB, about, f"it tells nothing of {', '.join(sorted(absent))}", mend
        )
    return fine(Topic.GITLAB, about, f"leads to {working[0].url}")
