"""Overview: what runs where, and what shipping a version now would do. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from flowmaster_delivery.flows.approval import find_release
from flowmaster_delivery.flows.image import Source, Unresolved, resolve
from flowmaster_delivery.flows.promotion import candidate_of, evaluate
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import (
    Catalog,
    Environment,
    GateName,
    RefKind,
    Repository,
    Service,
)
from flowmaster_delivery.model.errors import Refused, UnknownName
from flowmaster_delivery.model.health import HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import (
    Candidate,
    GateCheck,
    GateState,
    Hold,
    ReleaseSeen,
    Verdict,
)
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    last_success,
)
from flowmaster_delivery.policy.versioning import newest_version
from flowmaster_delivery.ports import Ports


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One service in one environment; None where there is none."""

    service: str
    environment: str
    version: str | None
    digest: str | None
    health: HealthState | None
    hold: Hold | None
    since: datetime | None
    """Since when this digest runs there."""
    commit: str | None = None
    note: str = ""
    """What is worth saying beside it: a failed rollout, an unhealthy reason."""


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One service of a release: what runs, what would, and what stands between."""

    service: str
    running_version: str | None
    running_digest: str | None
    candidate_digest: str | None
    commits: int | None
    """Commits between the two that touch the service; None where that cannot be known."""
    verdict: Verdict
    changes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    environment: str
    repository: str
    version: str
    commit: str
    rows: tuple[PlanRow, ...]

    @property
    def open(self) -> bool:
        return all(row.verdict.open for row in self.rows)


def status(catalog: Catalog, ports: Ports) -> tuple[StatusRow, ...]:
    """Every service in every environment, in the catalog's order."""
    holds = [hold for hold in ports.history.holds() if hold.active]
    done = {
        (service, environment): _done(service, environment, ports)
        for service in catalog.services
        for environment in catalog.environments
    }
    releases = {name: ports.history.releases(name, limit=50) for name in catalog.repositories}
    return tuple(
        _status_row(
            service,
            environment,
            holds,
            _released(service.repository, environment.name, releases, done, catalog),
            done[service.name, environment.name],
            ports,
        )
        for service in catalog.services.values()
        for environment in catalog.environments.values()
    )


def _done(service: str, environment: str, ports: Ports) -> tuple[DeploymentRecord, ...]:
    """What was done last, far enough back to know what runs after many tries that failed."""
    done = ports.history.deployments(service, environment, limit=10)
    if len(done) == 10 and last_success(done) is None:
        return ports.history.deployments(service, environment)
    return done


def _released(
    repository: str,
    environment: str,
    releases: Mapping[str, tuple[ReleaseSeen, ...]],
    done: Mapping[tuple[str, str], tuple[DeploymentRecord, ...]],
    catalog: Catalog,
) -> list[ReleaseSeen]:
    """The releases that some service of the repository runs in the environment, newest first.

    All of the repository's where nothing runs there by a version: branches carry none.
    """
    records = (last_success(done[s.name, environment]) for s in catalog.services_of(repository))
    versions = {record.version for record in records if record} - {None}
    return [r for r in releases[repository] if not versions or r.version in versions]


def _status_row(
    service: Service,
    environment: Environment,
    holds: Iterable[Hold],
    releases: Iterable[ReleaseSeen],
    done: tuple[DeploymentRecord, ...],
    ports: Ports,
) -> StatusRow:
    running = last_success(done)
    looks = ports.history.observations(service.name, environment.name, limit=1)
    held = [hold for hold in holds if hold.concerns(service.name, environment.name)]
    return StatusRow(
        service=service.name,
        environment=environment.name,
        version=_version(service.name, running, releases),
        digest=running.digest if running else None,
        health=looks[0].state if looks else None,
        hold=next((hold for hold in held if hold.service == service.name), next(iter(held), None)),
        since=_since(done, running),
        commit=running.commit if running else None,
        note=_note(done),
    )


def _version(
    service: str, running: DeploymentRecord | None, releases: Iterable[ReleaseSeen]
) -> str | None:
    """The newest release here that has the digest that runs (design §9).

    A service whose digest did not change was not touched by it, and is in its manifest.
    """
    if running is None:
        return None
    holding = [r.version for r in releases if r.images.get(service) == running.digest]
    named = [running.version] if running.version else []
    return newest_version([*holding, *named])


def _since(done: Iterable[DeploymentRecord], running: DeploymentRecord | None) -> datetime | None:
    """When the running digest arrived: the oldest of its unbroken successes."""
    since = None
    for record in done:
        if running is None or record.outcome is not Outcome.SUCCESS:
            continue
        if record.digest != running.digest:
            break
        since = record.finished_at
    return since


def _note(done: tuple[DeploymentRecord, ...]) -> str:
    if done and done[0].outcome is not Outcome.SUCCESS:
        return f"{done[0].method} {done[0].outcome}: {done[0].message}"
    return ""


def plan(
    environment: Environment,
    version: str,
    services: Iterable[str],
    reading: Reading,
    now: datetime,
) -> Plan:
    """What shipping a version would do, per service, with every unmet reason of each."""
    catalog, ports = reading.catalog, reading.ports
    if environment.ref.kind is not RefKind.VERSION:
        raise Refused(
            f"{environment.name} is fed by {environment.ref} and takes no releases; push there"
        )
    repository, release = find_release(version, catalog, ports)
    chosen = chosen_services(repository, services, catalog)
    source = Source(environment, repository, release.commit, release.version, release.version)
    rows = tuple(_plan_row(service, source, reading, now) for service in chosen)
    return Plan(environment.name, repository.name, release.version, release.commit, rows)


def chosen_services(
    repository: Repository, names: Iterable[str], catalog: Catalog
) -> tuple[Service, ...]:
    """The services named, or all of the repository; UnknownName for one that is not of it."""
    of_it: Mapping[str, Service] = {s.name: s for s in catalog.services_of(repository.name)}
    chosen = []
    for name in names:
        catalog.service(name)
        if name not in of_it:
            raise UnknownName(f"service of {repository.name}", name, of_it)
        chosen.append(of_it[name])
    return tuple(chosen) or tuple(of_it.values())


def _plan_row(service: Service, source: Source, reading: Reading, now: datetime) -> PlanRow:
    running = last_success(_done(service.name, source.environment.name, reading.ports))
    record = resolve(service, source, reading, now)
    if isinstance(record, Unresolved):
        verdict = _unresolved(record, source, reading, now)
    else:
        verdict = evaluate(candidate_of(service, record), reading, now)
    digest = verdict.candidate.digest
    return PlanRow(
        service=service.name,
        running_version=running.version if running else None,
        running_digest=running.digest if running else None,
        candidate_digest=digest,
        commits=_commits(service, source, running, reading),
        verdict=verdict,
        changes=digest is not None and (running is None or running.digest != digest),
    )


def _commits(
    service: Service, source: Source, running: DeploymentRecord | None, reading: Reading
) -> int | None:
    if running is None:
        return None
    if running.commit == source.commit:
        return 0
    between = reading.once(
        ("between", source.repository.name, running.commit, source.commit, service.paths),
        lambda: reading.ports.forge.commits_between(
            source.repository, running.commit, source.commit, service.paths
        ),
    )
    return len(between)


def _unresolved(missing: Unresolved, source: Source, reading: Reading, now: datetime) -> Verdict:
    """Closed for want of an image; all else that is missing is said with it."""
    candidate = Candidate(
        service=missing.service,
        environment=source.environment.name,
        repository=source.repository.name,
        commit=source.commit,
        digest=None,
        fingerprint=missing.fingerprint,
        ref=source.ref,
        version=source.version,
    )
    asked = evaluate(candidate, reading, now)
    image = GateCheck(GateName.IMAGE, GateState.UNMET, missing.why, remedy=missing.why)
    others = [check for check in asked.checks if check.gate is not GateName.IMAGE]
    return replace(asked, checks=(image, *others))
