"""Intake: look at a repository, see what is new, and order what shall run. Launches nothing itself.

The sensor looks at everything and keeps a snapshot; a webhook is only a hint where to look. Both
end in the same orders with the same occasions, so that together they launch one run per occasion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.flows import orders
from flowmaster_delivery.flows.image import Source, Unresolved, affected, resolve
from flowmaster_delivery.flows.promotion import candidate_of, evaluate, running_digest
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.release import remember_release
from flowmaster_delivery.flows.telling import ci_failed, second_writer, tell_news, unversioned
from flowmaster_delivery.model.catalog import Catalog, Environment, Repository, Service
from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.model.events import Event
from flowmaster_delivery.model.promotion import ReleaseSeen
from flowmaster_delivery.model.source import Pipeline, Refs
from flowmaster_delivery.policy.intake import (
    CiState,
    News,
    NewsKind,
    Seen,
    after_look,
    baseline,
    ci_state,
    newest_pipeline,
    news,
    second_writers,
)
from flowmaster_delivery.policy.versioning import is_version
from flowmaster_delivery.ports import Ports, RunOrder

PAGE = 100
"""Pipelines that one look reads; behind as many newer ones, a commit's own is asked for."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a repository found: what to run, what to tell, what to remember."""

    orders: tuple[RunOrder, ...]
    notices: tuple[Event, ...]
    seen: Seen


@dataclass(slots=True)
class _Findings:
    """Collected while looking; `handled` and `examined` are the snapshot's next entries."""

    orders: list[RunOrder]
    notices: list[Event]
    handled: dict[str, str]
    examined: dict[str, str]


def look(
    repository: Repository, catalog: Catalog, ports: Ports, seen: Seen | None, now: datetime
) -> Look:
    """One look at everything in the repository: three requests when nothing is new.

    The first look of all only remembers what is there, and so does the first one after an
    environment was added to the catalog.
    """
    refs = ports.forge.refs(repository)
    feeds = _feeds(catalog)
    if seen is None:
        return Look((), (), baseline(refs, _heads(feeds, refs)))
    pipelines = ports.forge.pipelines(repository)
    found = news(seen, refs, [branch for _, branch in feeds] + [repository.main])
    reading = Reading(catalog, ports)
    findings = _Findings([], list(tell_news(found, repository, refs, reading, now)), {}, {})
    added = [(e, branch) for e, branch in feeds if e.name not in seen.handled]
    findings.handled.update(_heads(added, refs))
    for environment, branch in (feed for feed in feeds if feed not in added):
        _look_at_branch(
            environment, branch, repository, refs, pipelines, seen, reading, findings, now
        )
    _look_at_tags(found, repository, refs, reading, findings, now)
    remembered = after_look(seen, refs, findings.handled, findings.examined)
    return Look(tuple(findings.orders), tuple(findings.notices), remembered)


def look_at_ref(
    repository: Repository, ref: str, catalog: Catalog, ports: Ports, now: datetime
) -> Look:
    """What a hint about one ref (`refs/heads/…`, `refs/tags/…`) leads to; the ref is read again.

    Nothing is remembered: whether an occasion has its run already is known where runs are launched.
    """
    refs = ports.forge.refs(repository)
    reading = Reading(catalog, ports)
    findings = _Findings([], [], {}, {})
    seen = Seen({}, {})
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if kind == "tags" and name in refs.tags:
        arrived = News(NewsKind.TAG_NEW, name, None, refs.tags[name])
        _look_at_tags((arrived,), repository, refs, reading, findings, now)
    for environment, branch in _feeds(catalog):
        if kind == "heads" and branch == name and branch in refs.branches:
            pipelines = ports.forge.pipelines_of(repository, refs.branches[branch])
            _look_at_branch(
                environment, branch, repository, refs, pipelines, seen, reading, findings, now
            )
    return Look(tuple(findings.orders), tuple(findings.notices), seen)


def _feeds(catalog: Catalog) -> list[tuple[Environment, str]]:
    """Environments that a branch feeds by itself, with the branch."""
    return [
        (e, e.ref.branch) for e in catalog.environments.values() if e.automatic and e.ref.branch
    ]


def _heads(feeds: Iterable[tuple[Environment, str]], refs: Refs) -> dict[str, str]:
    """Environment to the head of its branch; empty where there is no such branch yet."""
    return {environment.name: refs.branches.get(branch, "") for environment, branch in feeds}


def _look_at_branch(
    environment: Environment,
    branch: str,
    repository: Repository,
    refs: Refs,
    pipelines: Sequence[Pipeline],
    seen: Seen,
    reading: Reading,
    findings: _Findings,
    now: datetime,
) -> None:
    head = refs.branches.get(branch)
    if head is None or seen.handled.get(environment.name) == head:
        return
    pipeline = newest_pipeline(pipelines, branch, head)
    if pipeline is None and len(pipelines) >= PAGE:
        of_head = reading.ports.forge.pipelines_of(repository, head)
        pipeline = newest_pipeline(of_head, branch, head)
    mark = f"{head}:{pipeline.id}:{pipeline.state}" if pipeline else ""
    if pipeline is None or (pipeline.finished and seen.examined.get(environment.name) == mark):
        return
    jobs = reading.ports.forge.jobs(repository, pipeline.id)
    state = ci_state(pipeline, jobs, repository.ci_stages)
    if state is not CiState.PASSED:
        if state is CiState.FAILED and seen.examined.get(environment.name) != mark:
            findings.notices.append(ci_failed(repository, branch, head, pipeline, now))
        findings.examined[environment.name] = mark
        return
    writers = second_writers(jobs, repository.ci_stages)
    told = f"{head}:{pipeline.id}:second_writer"
    if writers and seen.examined.get(environment.name) != told:
        findings.notices.append(second_writer(repository, environment, writers, pipeline, now))
    if writers:
        findings.examined[environment.name] = told
    _order_delivery(Source(environment, repository, head, branch), reading, findings, now)


def _order_delivery(source: Source, reading: Reading, findings: _Findings, now: datetime) -> None:
    """One order for the services whose source changed; none where nothing did.

    The commit is dealt with once every service has its outcome: while a gate is closed, or a run
    has not come to an end, the next look asks again.
    """
    open_: list[str] = []
    closed: list[str] = []
    for service in affected(source, reading):
        ready = _gate_is_open(service, source, reading, now)
        (open_ if ready else closed).append(service.name)
    if open_ or closed:
        after = _moved_back_from(source, reading)
        findings.orders.append(orders.delivery(source, open_, closed, after=after))
    else:
        findings.handled[source.environment.name] = source.commit


def _moved_back_from(source: Source, reading: Reading) -> str | None:
    """The commit that stood here last, where the branch was at this one before and moved back."""
    records = [
        record
        for service in reading.catalog.services_of(source.repository.name)
        for record in reading.ports.history.images(service.name, source.environment.name)
    ]
    latest = max(records, key=lambda record: record.at, default=None)
    if latest is None or latest.commit == source.commit:
        return None
    return latest.commit if any(r.commit == source.commit for r in records) else None


def _gate_is_open(service: Service, source: Source, reading: Reading, now: datetime) -> bool:
    """Closed too where the image cannot be read for good: the run says why, the others go on."""
    try:
        record = resolve(service, source, reading, now)
    except Permanent:
        return False
    if isinstance(record, Unresolved):
        return False
    return evaluate(candidate_of(service, record), reading, now).open


def _look_at_tags(
    found: Iterable[News],
    repository: Repository,
    refs: Refs,
    reading: Reading,
    findings: _Findings,
    now: datetime,
) -> None:
    for item in found:
        if item.kind not in (NewsKind.TAG_NEW, NewsKind.TAG_MOVED):
            continue
        if not is_version(item.name):
            findings.notices.append(unversioned(repository, item.name, now))
            continue
        for environment in reading.catalog.fed_by_versions():
            source = Source(
                environment, repository, refs.tags[item.name], item.name, version=item.name
            )
            findings.orders.extend(_candidate_orders(source, reading, now))


def _candidate_orders(source: Source, reading: Reading, now: datetime) -> list[RunOrder]:
    """A version tag becomes a release with its manifest, and one order for its prognosis."""
    services = reading.catalog.services_of(source.repository.name)
    if not services:
        return []
    release = remember_release(source, services, reading, now)
    names = [service.name for service in services]
    return [orders.candidate(source, names, changed_by(release, names, source, reading))]


def changed_by(
    release: ReleaseSeen, names: Iterable[str], source: Source, reading: Reading
) -> list[str]:
    """The services that do not run their digest of the release in the environment yet."""
    environment = source.environment.name
    return [
        name
        for name in names
        if name not in release.images
        or running_digest(name, environment, reading) != release.images[name]
    ]
