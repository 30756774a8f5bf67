"""Approval: a GitLab person's consent to a candidate, from the merge request or by command.

Who counts is decided in `policy.approvals`; this reads what that needs and records what people say.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flowmaster_delivery.flows.image import Source
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.release import remember_release
from flowmaster_delivery.model.catalog import Catalog, Environment, RefKind, Repository
from flowmaster_delivery.model.errors import Refused, UnknownName
from flowmaster_delivery.model.facts import ApprovalFacts
from flowmaster_delivery.model.promotion import Approval, ApprovalSource, Candidate, ReleaseSeen
from flowmaster_delivery.model.rollout import last_success
from flowmaster_delivery.model.source import Commit, Person
from flowmaster_delivery.ports import Ports


def find_release(version: str, catalog: Catalog, ports: Ports) -> tuple[Repository, ReleaseSeen]:
    """The release that a version names: `v1.2.3`, or `repository@v1.2.3` where it is not unique.

    Raise UnknownName with the nearest version, or Refused naming the repositories that share it.
    """
    wanted, _, bare = version.rpartition("@")
    names = [catalog.repository(wanted).name] if wanted else list(catalog.repositories)
    found = []
    known = []
    for name in names:
        releases = ports.history.releases(name)
        known += [release.version for release in releases]
        match = next((release for release in releases if release.version == bare), None)
        if match:
            found.append((catalog.repository(name), match))
    if not found:
        raise UnknownName("version", version, dict.fromkeys(known))
    if len(found) > 1:
        choices = ", ".join(f"{repository.name}@{bare}" for repository, _ in found)
        raise Refused(f"{bare} is a version of several repositories; say which: {choices}")
    return found[0]


def approve(
    environment: Environment,
    version: str,
    person: Person,
    catalog: Catalog,
    ports: Ports,
    now: datetime,
    *,
    withdraw: bool = False,
) -> Approval:
    """Record what a person whom GitLab vouched for says of a version, bound to commit and digests.

    Raise Refused where the environment asks for no approvals or the person is not of its group.
    """
    rule = environment.approvals
    if rule.count == 0:
        raise Refused(f"{environment.name} asks for no approvals; there is nothing to approve")
    repository, release = find_release(version, catalog, ports)
    if person.username not in ports.forge.members(rule.group):
        raise Refused(
            f"{person.username} is not a member of {rule.group}, whose approval "
            f"{environment.name} asks for; ask one of that group"
        )
    if environment.ref.kind is RefKind.VERSION:
        source = Source(environment, repository, release.commit, release.version, release.version)
        services = catalog.services_of(repository.name)
        release = remember_release(source, services, Reading(catalog, ports), now)
    approval = Approval(
        repository=repository.name,
        version=release.version,
        commit=release.commit,
        digests=dict(release.images),
        by=person.username,
        by_id=person.id,
        source=ApprovalSource.COMMAND,
        at=now,
        withdrawn=withdraw,
    )
    ports.history.record(approval)
    return approval


def approval_facts(
    candidate: Candidate,
    environment: Environment,
    reading: Reading,
    shipping: Mapping[str, str] | None,
) -> ApprovalFacts:
    """Everything that counting approvals needs, read now; shared by all services of a release."""
    repository = reading.catalog.repository(candidate.repository)
    key = (repository.name, candidate.version, candidate.commit)
    digests = shipping if shipping is not None else _manifest(candidate, reading)
    commits = shipped_commits(candidate, environment, reading)
    emails = {email for c in commits for email in (c.author_email, c.committer_email)}
    return ApprovalFacts(
        members=reading.members(environment.approvals.group),
        merge_request=reading.merge_request(repository, candidate.commit),
        recorded=reading.once(
            ("approvals", *key),
            lambda: reading.ports.history.approvals(repository.name, candidate.version or ""),
        ),
        commits=commits,
        people={email: reading.person(email) for email in sorted(emails)},
        digests=dict(digests),
    )


def _manifest(candidate: Candidate, reading: Reading) -> Mapping[str, str]:
    releases = reading.once(
        ("releases", candidate.repository),
        lambda: reading.ports.history.releases(candidate.repository),
    )
    same = (r for r in releases if (r.version, r.commit) == (candidate.version, candidate.commit))
    release = next(same, None)
    return release.images if release else {}


def shipped_commits(
    candidate: Candidate, environment: Environment, reading: Reading
) -> tuple[Commit, ...]:
    """Commits between what runs and the candidate that touch a service which ships with it."""
    repository = reading.catalog.repository(candidate.repository)
    return reading.once(
        ("shipped", environment.name, repository.name, candidate.version, candidate.commit),
        lambda: _shipped_commits(candidate, environment, repository, reading),
    )


def _shipped_commits(
    candidate: Candidate, environment: Environment, repository: Repository, reading: Reading
) -> tuple[Commit, ...]:
    """Each base is asked once, for the paths of the services that run it."""
    paths: dict[str | None, set[str]] = {}
    manifest = _manifest(candidate, reading) or {candidate.service: candidate.digest or ""}
    for service in reading.catalog.services_of(repository.name):
        records = reading.ports.history.deployments(service.name, environment.name)
        last = last_success(records)
        if last is None or last.digest != manifest.get(service.name, last.digest):
            paths.setdefault(last.commit if last else None, set()).update(service.paths)
    commits: dict[str, Commit] = {}
    for base, touched in paths.items():
        for commit in reading.ports.forge.commits_between(
            repository, base, candidate.commit, sorted(touched)
        ):
            commits.setdefault(commit.id, commit)
    return tuple(commits.values())
