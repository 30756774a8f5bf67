"""Approvals: whose consent counts for a candidate (design §4.4 and §9, "Approvals")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flowmaster_delivery.model.catalog import ApprovalRule
from flowmaster_delivery.model.facts import ApprovalFacts
from flowmaster_delivery.model.promotion import Approval, Candidate
from flowmaster_delivery.model.source import Person


@dataclass(frozen=True, slots=True)
class Tally:
    """Who counts, who does not and why, and what keeps anybody from counting at all."""

    needed: int
    counted: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """Username to the reason, of those who consented and do not count."""
    unknown_emails: tuple[str, ...] = ()
    """Of commits: nobody can say that their authors did not approve their own work."""
    could: tuple[str, ...] = ()
    """Members who could still consent."""

    @property
    def met(self) -> bool:
        return len(self.counted) >= self.needed and not (self.needed and self.unknown_emails)


@dataclass(frozen=True, slots=True)
class _Consent:
    by: Person
    at: datetime
    flaw: str = ""
    """Why this consent is not for this candidate; empty where it is."""


def tally(candidate: Candidate, rule: ApprovalRule, facts: ApprovalFacts) -> Tally:
    """Count the consents to a candidate. One person counts once, from whichever source.

    An author or committer of what ships never counts, nor does the merge request's author, nor
    anybody outside the group. A withdrawal outdoes all that the person gave before it.
    """
    authors = _authors(facts)
    vetoes = [approval for approval in _of_version(candidate, facts) if approval.withdrawn]
    counted: dict[int, str] = {}
    refused: dict[int, tuple[str, str]] = {}
    for consent in (*_by_merge_request(facts), *_by_command(candidate, facts)):
        why = consent.flaw or _objection(consent, authors, rule, facts.members, vetoes)
        if why:
            refused.setdefault(consent.by.id, (consent.by.username, why))
        else:
            counted[consent.by.id] = consent.by.username
    names = {*counted.values(), *authors.values()}
    return Tally(
        needed=rule.count,
        counted=tuple(sorted(counted.values())),
        refused=dict(sorted(pair for by, pair in refused.items() if by not in counted)),
        unknown_emails=tuple(sorted(_unknown(facts))),
        could=tuple(sorted(facts.members - names)),
    )


def _authors(facts: ApprovalFacts) -> dict[int, str]:
    """Everybody whose own work is promoted."""
    people = [facts.people.get(email) for email in _emails(facts)]
    if facts.merge_request:
        people.append(facts.merge_request.author)
    return {person.id: person.username for person in people if person}


def _emails(facts: ApprovalFacts) -> set[str]:
    return {mail for c in facts.commits for mail in (c.author_email, c.committer_email)}


def _unknown(facts: ApprovalFacts) -> set[str]:
    return {email for email in _emails(facts) if facts.people.get(email) is None}


def _by_merge_request(facts: ApprovalFacts) -> Iterator[_Consent]:
    request = facts.merge_request
    if request is None:
        return
    for approval in request.approvals:
        flaw = ""
        if request.head_changed_at is None:
            flaw = f"it is not known when the head of !{request.iid} changed last"
        elif approval.at <= request.head_changed_at:
            flaw = f"approved !{request.iid} before its head changed"
        yield _Consent(approval.by, approval.at, flaw)


def _by_command(candidate: Candidate, facts: ApprovalFacts) -> Iterator[_Consent]:
    for approval in _of_version(candidate, facts):
        if approval.withdrawn:
            continue
        flaw = ""
        if approval.commit != candidate.commit:
            flaw = f"approved the tag at {approval.commit[:8]}, before it moved"
        elif not _covers(approval, candidate, facts):
            flaw = "approved other images than these"
        yield _Consent(Person(approval.by_id, approval.by), approval.at, flaw)


def _of_version(candidate: Candidate, facts: ApprovalFacts) -> Iterator[Approval]:
    wanted = (candidate.repository, candidate.version)
    return (a for a in facts.recorded if (a.repository, a.version) == wanted)


def _covers(approval: Approval, candidate: Candidate, facts: ApprovalFacts) -> bool:
    """Whether all that ships is what was approved; more may have been."""
    shipping = {**facts.digests, candidate.service: candidate.digest}
    return all(digest and approval.digests.get(s) == digest for s, digest in shipping.items())


def _objection(
    consent: _Consent,
    authors: Mapping[int, str],
    rule: ApprovalRule,
    members: frozenset[str],
    vetoes: Iterable[Approval],
) -> str:
    by = consent.by
    if by.id in authors or by.username in authors.values():
        return "author"
    if by.username not in members:
        return f"not of {rule.group}"
    if any(_same(veto, by) and veto.at >= consent.at for veto in vetoes):
        return "withdrawn"
    return ""


def _same(approval: Approval, person: Person) -> bool:
    return approval.by_id == person.id or approval.by == person.username
