"""What people are told, in words: of an intake, of a refusal, of what came of a deployment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.canary import CanaryRule
from flowmaster_delivery.model.catalog import Environment, Repository
from flowmaster_delivery.model.errors import NotFound
from flowmaster_delivery.model.events import Event, Severity
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Override, Verdict
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.model.source import Pipeline, Refs
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.policy.intake import News, NewsKind
from flowmaster_delivery.policy.versioning import is_version
from flowmaster_delivery.policy.wording import moment, span


def tell_news(
    found: Iterable[News], repository: Repository, refs: Refs, reading: Reading, now: datetime
) -> Iterator[Event]:
    """Name what a plain "something new" would hide: moves, deletions, rewritten history."""
    for item in found:
        words = _words(item, repository, refs, reading)
        if words:
            kind, text, severity = words
            title = f"{repository.name}: {text}"
            yield Event(kind, title, title, severity, now)


def _words(
    item: News, repository: Repository, refs: Refs, reading: Reading
) -> tuple[str, str, Severity] | None:
    before, after = (item.before or "")[:8], (item.after or "")[:8]
    match item.kind:
        case NewsKind.TAG_MOVED:
            text = f"tag {item.name} was moved from {before} to {after}: a new candidate"
            return "tag_moved", f"{text}; approvals start anew", Severity.WARNING
        case NewsKind.TAG_DELETED:
            return "tag_deleted", f"tag {item.name} ({before}) was deleted", Severity.WARNING
        case NewsKind.BRANCH_DELETED:
            return (
                "branch_deleted",
                f"branch {item.name} ({before}) was deleted; what it fed keeps running",
                Severity.WARNING,
            )
        case NewsKind.BRANCH_MOVED if _was_forced(item, repository, reading):
            text = f"branch {item.name} was force-pushed: {before} is not in {after}"
            return "force_push", text, Severity.WARNING
        case NewsKind.TAG_NEW if is_version(item.name):
            old = item.after != refs.branches.get(repository.main)
            where = f"an older commit than {repository.main}'s head" if old else repository.main
            return "tag_new", f"tag {item.name} at {after}, on {where}", Severity.INFO
        case _:
            return None


def _was_forced(item: News, repository: Repository, reading: Reading) -> bool:
    """Whether the branch lost its old head; one that GitLab has cleared away is lost as well."""
    if item.before is None:
        return False
    try:
        return not reading.ports.forge.contains(repository, item.name, item.before)
    except NotFound:
        return True


def ci_failed(
    repository: Repository, branch: str, commit: str, pipeline: Pipeline, now: datetime
) -> Event:
    text = f"CI of {repository.name} failed on {branch} at {commit[:8]}; nothing was rolled out"
    links = (("pipeline", pipeline.url),) if pipeline.url else ()
    return Event("ci_failed", text, text, Severity.WARNING, now, links=links)


def second_writer(
    repository: Repository,
    environment: Environment,
    jobs: Iterable[str],
    pipeline: Pipeline,
    now: datetime,
) -> Event:
    names = ", ".join(jobs)
    text = (
        f"{repository.name}: {names} in GitLab also deploys to {environment.name}; "
        "two writers undo each other: remove the job from .gitlab-ci.yml"
    )
    links = (("pipeline", pipeline.url),) if pipeline.url else ()
    return Event(
        "second_writer",
        text,
        text,
        Severity.WARNING,
        now,
        environment=environment.name,
        links=links,
    )


def unversioned(repository: Repository, tag: str, now: datetime) -> Event:
    text = f"{repository.name}: tag {tag!r} is no version; a release is tagged vX.Y.Z"
    return Event("tag_ignored", text, text, Severity.INFO, now)


def refused(verdict: Verdict, asked_by: str) -> Event:
    """A promotion that somebody asked for and that its gates keep out, with every reason."""
    candidate = verdict.candidate
    what = candidate.version or candidate.commit[:8]
    title = f"{candidate.service} {what} was refused by {candidate.environment}"
    reasons = "\n".join(f"{check.gate}: {check.summary}" for check in verdict.unmet)
    return Event(
        "promotion_refused",
        title,
        f"asked by {asked_by}\n{reasons}",
        Severity.INFO,
        verdict.at,
        service=candidate.service,
        environment=candidate.environment,
    )


def gate_overridden(override: Override) -> Event:
    """That somebody lets a version past a gate: told when it is said, since it opens at once."""
    until = moment(override.expires_at, override.at)
    title = (
        f"{override.by} lets {override.repository}@{override.version} past {override.gate} of "
        f"{override.environment} until {until}"
    )
    return Event(
        "gate_overridden",
        title,
        f"{override.reason}\noverride {override.id}, for {override.commit[:8]} alone",
        Severity.WARNING,
        override.at,
        environment=override.environment,
    )


def deployed(record: DeploymentRecord, environment: Environment) -> Event | None:
    """What came of a deployment; None where nothing was touched.

    Loud where a person decides what runs: there a failure and a rollback concern somebody at once.
    """
    if record.outcome is Outcome.SUCCESS and not record.changed:
        return None
    what = record.version or record.commit[:8]
    where = f"{record.service} in {environment.name}"
    loud = Severity.WARNING if environment.automatic else Severity.CRITICAL
    if record.outcome is not Outcome.SUCCESS:
        kind, title, severity = (
            f"{record.method}_failed",
            f"{where}: {record.method} to {what} failed",
            loud,
        )
    elif record.method is Method.ROLLBACK:
        kind, title, severity = "rolled_back", f"{where} was rolled back to {what}", loud
    else:
        kind, title, severity = "deployed", f"{where} runs {what}", Severity.INFO
    said = (record.message, f"asked by {record.asked_by}", record.reason)
    return Event(
        kind,
        title,
        "\n".join(filter(None, said)),
        severity,
        record.finished_at,
        service=record.service,
        environment=environment.name,
    )


def canary_asks(draft: DeploymentRecord, words: str, rule: CanaryRule, now: datetime) -> Event:
    """A canary that cannot be judged: somebody is to say what becomes of it."""
    command = f"{draft.environment} {draft.service} --reason …"
    return Event(
        "canary_asks",
        f"{draft.service} in {draft.environment}: its canary cannot be judged",
        f"{words}\nsay within {span(rule.deadline)} what becomes of it, or it is taken away:\n"
        f"flowmaster canary promote {command}\nflowmaster canary abort {command}",
        Severity.WARNING,
        now,
        service=draft.service,
        environment=draft.environment,
    )


def canary_given_up(draft: DeploymentRecord, words: str, now: datetime) -> Event:
    """A canary that ended although nobody judged it bad."""
    return Event(
        "canary_given_up",
        f"{draft.service} in {draft.environment}: its canary was taken away unjudged",
        f"{words}\nit runs what it ran before; ship it again to try again",
        Severity.CRITICAL,
        now,
        service=draft.service,
        environment=draft.environment,
    )


def unverified(found: Verification) -> Event | None:
    """That an image did not pass what its environment asks, or that it could not be told."""
    if found.verified:
        return None
    where = f"{found.service} in {found.environment}"
    failed = found.outcome is Outcome.FAILURE
    title = f"{where} {'failed its verification' if failed else 'is not verified'}"
    open_ones = [one for one in found.results if one.outcome is not Outcome.SUCCESS]
    links = tuple((one.validation.value, one.url) for one in open_ones if one.url)
    return Event(
        "verification_failed" if failed else "not_verified",
        title,
        "\n".join(f"{one.validation} ({one.outcome}): {one.words}" for one in open_ones),
        Severity.WARNING,
        found.at,
        service=found.service,
        environment=found.environment,
        links=links,
    )
