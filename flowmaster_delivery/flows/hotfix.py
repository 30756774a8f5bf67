"""Hotfix: read what tells whether a release is one. A release that does not say so costs nothing:
its merge request is read for the approvals anyway."""

from __future__ import annotations

from collections.abc import Iterable

from flowmaster_delivery.flows.approval import shipped_commits
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, HotfixRule, Repository
from flowmaster_delivery.model.facts import HotfixFacts
from flowmaster_delivery.model.promotion import Candidate
from flowmaster_delivery.model.source import Commit, MergeRequest
from flowmaster_delivery.policy.hotfix import MOST_COMMITS, claims


def hotfix_facts(
    candidate: Candidate, environment: Environment, reading: Reading
) -> HotfixFacts | None:
    """None where the environment knows no hotfix, or the candidate does not say that it is one."""
    rule = environment.hotfix
    if rule is None:
        return None
    repository = reading.catalog.repository(candidate.repository)
    request = reading.merge_request(repository, candidate.commit)
    if request is None or not claims(rule, request):
        return None
    commits = shipped_commits(candidate, environment, reading)
    asked = commits if len(commits) <= MOST_COMMITS else ()
    return HotfixFacts(
        merge_request=request,
        members=reading.members(rule.group),
        commits=commits,
        requests=_requests(asked, rule, repository, reading),
    )


def _requests(
    commits: Iterable[Commit], rule: HotfixRule, repository: Repository, reading: Reading
) -> dict[str, MergeRequest | None]:
    """Commit to its merge request, up to the first that is no hotfix's: that one decides."""
    found: dict[str, MergeRequest | None] = {}
    for commit in commits:
        found[commit.id] = reading.merge_request(repository, commit.id)
        if not claims(rule, found[commit.id]):
            break
    return found
