"""Promotion: gather every fact that an environment's gates ask for, decide, admit.

All gates are asked, none is skipped because another is closed. Called for the prognosis, by the
promotion itself, and again inside the deployment: no selection, API call or command goes round it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from flowmaster_delivery.flows.approval import approval_facts
from flowmaster_delivery.flows.hotfix import hotfix_facts
from flowmaster_delivery.flows.migrations.facts import migration_facts
from flowmaster_delivery.flows.overrides import override_facts
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Environment, GateName, Kind, Service
from flowmaster_delivery.model.errors import DeliveryError, NotFound
from flowmaster_delivery.model.facts import CiFacts, GateFacts, TagFacts, Unread
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import ImageRecord, RegistryImage
from flowmaster_delivery.model.promotion import (
    Admission,
    Candidate,
    GateCheck,
    GateState,
    Hold,
    Verdict,
)
from flowmaster_delivery.model.rollout import last_success
from flowmaster_delivery.policy import gate
from flowmaster_delivery.policy.overrides import overridden
from flowmaster_delivery.policy.soak import reach

T = TypeVar("T")


def candidate_of(service: Service, record: ImageRecord) -> Candidate:
    """The candidate that an image record makes."""
    return Candidate(
        service=service.name,
        environment=record.environment,
        repository=service.repository,
        commit=record.commit,
        digest=record.digest,
        fingerprint=record.fingerprint,
        ref=record.ref,
        version=record.version,
    )


def newest_candidate(
    service: Service, environment: Environment, version: str | None, reading: Reading
) -> Candidate:
    """The newest image of the environment, or that of a version; NotFound where there is none."""
    records = reading.ports.history.images(service.name, environment.name)
    wanted = [r for r in records if version is None or r.version == version]
    if not wanted:
        what = f"version {version}" if version else "image"
        raise NotFound(
            f"{service.name} has no {what} in {environment.name}: "
            f"materialize {service.name}/image for {environment.name} first"
        )
    return candidate_of(service, wanted[0])


def running_digest(service: str, environment: str, reading: Reading) -> str | None:
    """The digest that was brought there last with success, as far as the record knows."""
    records = reading.ports.history.deployments(service, environment)
    last = last_success(records)
    return last.digest if last else None


def evaluate(
    candidate: Candidate, reading: Reading, now: datetime, shipping: Mapping[str, str] | None = None
) -> Verdict:
    """May the candidate enter? Reads what its environment's gates ask for; writes nothing.

    `shipping` is service to digest of all that ships with it; the release's manifest where None.
    """
    service = reading.catalog.service(candidate.service)
    environment = reading.catalog.environment(candidate.environment)
    if candidate.digest and candidate.digest == running_digest(
        service.name, environment.name, reading
    ):
        return _nothing_changes(candidate, now)
    facts = _facts(candidate, service, environment, reading, now, shipping)
    upstream = reading.catalog.upstream_of(environment)
    return gate.evaluate(candidate, service, environment, upstream, facts, now)


def admit(
    verdict: Verdict, *, ship: bool, asked_by: str, reason: str, now: datetime
) -> Admission | None:
    """The admission of an open verdict; None where the gate is closed."""
    if not verdict.open:
        return None
    return Admission(
        verdict.candidate,
        ship=ship,
        asked_by=asked_by,
        reason=reason,
        at=now,
        overrides=overridden(verdict.checks),
    )


def _nothing_changes(candidate: Candidate, now: datetime) -> Verdict:
    summary = "this digest runs here already: nothing would change"
    checks = tuple(GateCheck(name, GateState.NOT_REQUIRED, summary) for name in GateName)
    return Verdict(candidate, checks, now)


def _facts(
    candidate: Candidate,
    service: Service,
    environment: Environment,
    reading: Reading,
    now: datetime,
    shipping: Mapping[str, str] | None,
) -> GateFacts:
    def ask(required: tuple[GateName, ...], read: Callable[[], T]) -> T | Unread:
        if not any(environment.requires(name) for name in required):
            return Unread("not required by policy")
        try:
            return read()
        except DeliveryError as error:  # whatever kept it from being read closes this gate alone
            return Unread(str(error))

    return GateFacts(
        ci=ask((GateName.CI_PASSED,), lambda: _ci(candidate, service, reading)),
        image=ask((GateName.IMAGE,), lambda: _image(candidate, service, reading)),
        upstream=ask(
            (GateName.UPSTREAM_HEALTHY, GateName.SOAK),
            lambda: _upstream(service, environment, reading, now),
        ),
        holds=ask((GateName.HOLD,), lambda: _holds(candidate, reading)),
        approvals=ask(
            (GateName.APPROVALS,),
            lambda: approval_facts(candidate, environment, reading, shipping),
        ),
        tag=ask(
            (GateName.TAG_UNMOVED, GateName.ON_MAIN), lambda: _tag(candidate, service, reading)
        ),
        signed=ask((GateName.SIGNATURE,), lambda: _signed(candidate, service, reading)),
        scan_passed=ask((GateName.SCAN,), lambda: None),
        migrations=ask(
            (GateName.MIGRATIONS,),
            lambda: migration_facts(candidate, service, environment, reading),
        ),
        overrides=ask(tuple(GateName), lambda: override_facts(candidate, environment, reading)),
        hotfix=ask((GateName.SOAK,), lambda: hotfix_facts(candidate, environment, reading)),
    )


def _ci(candidate: Candidate, service: Service, reading: Reading) -> CiFacts:
    repository = reading.catalog.repository(service.repository)
    pipeline, jobs = reading.ci(repository, candidate.commit, candidate.ref)
    return CiFacts(pipeline, jobs, repository.ci_stages)


def _image(candidate: Candidate, service: Service, reading: Reading) -> RegistryImage | None:
    digest = candidate.digest
    if digest is None:
        return None
    if service.kind is Kind.MANIFESTS:
        return RegistryImage(digest)
    return reading.registry_image(service, digest)


def _upstream(
    service: Service, environment: Environment, reading: Reading, now: datetime
) -> tuple[HealthObservation, ...]:
    if environment.upstream is None:
        return ()
    since = now - reach(environment, service)
    seen = reading.ports.history.observations(
        service.name, environment.upstream, since=since, limit=20_000
    )
    return tuple(reversed(seen))


def _holds(candidate: Candidate, reading: Reading) -> tuple[Hold, ...]:
    return tuple(
        hold
        for hold in reading.holds()
        if hold.active and hold.concerns(candidate.service, candidate.environment)
    )


def _tag(candidate: Candidate, service: Service, reading: Reading) -> TagFacts:
    repository = reading.catalog.repository(service.repository)
    forge, main = reading.ports.forge, repository.main
    seen = reading.ports.history.releases(repository.name)
    newest = next((release for release in seen if release.version == candidate.version), None)
    return TagFacts(
        commit=reading.refs(repository).tags.get(candidate.version or ""),
        last_seen_commit=newest.commit if newest else None,
        on_main=reading.once(
            ("contains", repository.name, main, candidate.commit),
            lambda: forge.contains(repository, main, candidate.commit),
        ),
        main_protected=reading.once(
            ("protected", repository.name, main),
            lambda: forge.branch_is_protected(repository, main),
        ),
    )


def _signed(candidate: Candidate, service: Service, reading: Reading) -> bool:
    digest = candidate.digest
    return digest is not None and reading.ports.registry.has_signature(service.image, digest)
