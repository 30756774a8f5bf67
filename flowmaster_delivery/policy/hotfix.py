"""Hotfix: whether a release is one, and which soak is asked of it then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from flowmaster_delivery.model.catalog import HotfixRule, Service, SoakRule
from flowmaster_delivery.model.facts import HotfixFacts, Unread
from flowmaster_delivery.model.source import MergeRequest

MOST_COMMITS = 20
"""Commits of a hotfix: what has more is looked at like every other release."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The soak that is asked for. `words` name the hotfix where it counts, `why_not` what keeps a
    release that says that it is one from counting; both empty where nothing says so."""

    required: timedelta
    words: str = ""
    why_not: str = ""


def claims(rule: HotfixRule, request: MergeRequest | None) -> bool:
    """Whether a merge request says that it is a hotfix: by its source branch or its label."""
    if request is None:
        return False
    return fnmatchcase(request.source_branch, rule.branch) or rule.label in request.labels


def required_soak(
    service: Service,
    usual: SoakRule,
    rule: HotfixRule | None,
    facts: HotfixFacts | Unread | None,
) -> Ruling:
    """What is asked of the service. A hotfix shortens and never lengthens it; facts that could not
    be read shorten nothing."""
    required = usual.required(service)
    if rule is None or facts is None:
        return Ruling(required)
    if isinstance(facts, Unread):
        return Ruling(required, why_not=f"whether it is a hotfix could not be read: {facts.why}")
    name = f"!{facts.merge_request.iid}"
    flaw = _flaw(rule, facts)
    if flaw:
        return Ruling(required, why_not=f"{name} does not count as a hotfix: {flaw}")
    words = f"hotfix {name} by {facts.merge_request.author.username}"
    return Ruling(min(required, rule.soak.required(service)), words)


def _flaw(rule: HotfixRule, facts: HotfixFacts) -> str:
    """What else ships with it, or who may not; empty where all that ships is a hotfix's."""
    if len(facts.commits) > MOST_COMMITS:
        return f"{len(facts.commits)} commits ship with it, and a hotfix has {MOST_COMMITS} at most"
    requests = [facts.merge_request]
    for commit in facts.commits:
        request = facts.requests.get(commit.id)
        if request is None:
            return f"{commit.short} ships with it and came to main without a merge request"
        if not claims(rule, request):
            return f"{commit.short} of !{request.iid} ships with it, which is no hotfix"
        requests.append(request)
    for request in requests:
        if request.author.username not in facts.members:
            return f"{request.author.username}, who made !{request.iid}, is not of {rule.group}"
    return ""
