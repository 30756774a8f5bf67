"""Things to test with: sound by themselves, and every field can be said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from flowmaster_delivery.model.catalog import (
    ApprovalRule,
    Catalog,
    Criticality,
    Environment,
    GateName,
    Kind,
    RefKind,
    RefRule,
    Repository,
    Service,
    SoakRule,
)
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import Approval, ApprovalSource, Candidate
from flowmaster_delivery.model.source import Commit, MergeApproval, MergeRequest, Person

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday."""

COMMIT = "c0ffee" + "0" * 34
FINGERPRINT = "f1" * 20


def digest(seed: object = "a") -> str:
    """A digest of the right form, the same for the same seed."""
    return f"sha256:{str(seed).encode().hex():0<64.64}"


def a_service(name: str = "api-gateway", **fields: object) -> Service:
    given: dict[str, object] = {
        "kind": Kind.DEPLOYMENT,
        "repository": "platform",
        "path": f"services/{name}",
        "image": f"group/platform/{name}",
        "shared_paths": ("shared/libraries",),
        "criticality": Criticality.STANDARD,
    }
    return Service(name=name, **{**given, **fields})  # type: ignore[arg-type]


def dev(**fields: object) -> Environment:
    given: dict[str, object] = {
        "namespace": "test-dev",
        "ref": RefRule(RefKind.BRANCH, "develop"),
        "automatic": True,
        "gates": (GateName.CI_PASSED, GateName.IMAGE, GateName.HOLD),
    }
    return Environment(name="dev", **{**given, **fields})  # type: ignore[arg-type]


def staging(**fields: object) -> Environment:
    given: dict[str, object] = {
        "namespace": "test-staging",
        "ref": RefRule(RefKind.BRANCH, "staging"),
        "upstream": "dev",
        "automatic": True,
        "gates": (GateName.CI_PASSED, GateName.IMAGE, GateName.UPSTREAM_HEALTHY, GateName.HOLD),
    }
    return Environment(name="staging", **{**given, **fields})  # type: ignore[arg-type]


def production(**fields: object) -> Environment:
    given: dict[str, object] = {
        "namespace": "test-production",
        "ref": RefRule(RefKind.VERSION),
        "upstream": "staging",
        "rollout_timeout": timedelta(seconds=600),
        "gates": (
            GateName.CI_PASSED,
            GateName.IMAGE,
            GateName.UPSTREAM_HEALTHY,
            GateName.SOAK,
            GateName.APPROVALS,
            GateName.FREEZE,
            GateName.HOLD,
            GateName.TAG_UNMOVED,
            GateName.ON_MAIN,
        ),
        "soak": SoakRule(timedelta(hours=24), timedelta(hours=48)),
        "approvals": ApprovalRule(2, "group/seniors"),
    }
    return Environment(name="production", **{**given, **fields})  # type: ignore[arg-type]


def a_catalog(
    count: int = 3,
    *,
    services: Iterable[Service] | None = None,
    environments: Iterable[Environment] | None = None,
    forge_url: str = "http://127.0.0.1:1",
    registry_url: str = "http://127.0.0.1:2",
) -> Catalog:
    """A catalog of one repository with `count` services, or those given; every URL on loopback."""
    every = services if services is not None else (a_service(f"service-{n}") for n in range(count))
    places = environments if environments is not None else (dev(), staging(), production())
    named = {service.name: service for service in every}
    projects = dict.fromkeys(["platform", *(s.repository for s in named.values())])
    return Catalog(
        name="test",
        forge_url=forge_url,
        registry_url=registry_url,
        repositories={name: Repository(name, f"group/{name}") for name in projects},
        environments={place.name: place for place in places},
        services=named,
    )


def catalog_yaml(count: int) -> str:
    """The text of a catalog file with `count` services, for benchmarks of loading."""
    services = "".join(
        f"  service-{n}: {{repository: platform, path: services/service-{n}, "
        f"shared_paths: [shared/libraries], port: {1024 + n % 60000}"
        f"{f', depends_on: [service-{n // 10}]' if n >= 10 else ''}}}\n"
        for n in range(count)
    )
    return (
        "name: generated\nforge_url: http://127.0.0.1:1\nregistry_url: http://127.0.0.1:2\n"
        "repositories:\n  platform: {project: group/platform}\n"
        "environments:\n"
        "  dev: {namespace: d, ref: {branch: develop}, automatic: true, gates: [ci_passed]}\n"
        "  staging: {namespace: s, upstream: dev, ref: {branch: staging}, automatic: true}\n"
        "  production: {namespace: p, upstream: staging, ref: {tag: vX.Y.Z}}\n"
        f"services:\n{services}"
    )


def a_candidate(**fields: object) -> Candidate:
    given: dict[str, object] = {
        "service": "api-gateway",
        "environment": "production",
        "repository": "platform",
        "commit": COMMIT,
        "digest": digest(),
        "fingerprint": FINGERPRINT,
        "ref": "v1.2.3",
        "version": "v1.2.3",
    }
    return Candidate(**{**given, **fields})  # type: ignore[arg-type]


def a_look(
    at: datetime = NOON,
    state: HealthState = HealthState.HEALTHY,
    *,
    failures: int = 0,
    fingerprint: str | None = FINGERPRINT,
    service: str = "api-gateway",
    environment: str = "staging",
) -> HealthObservation:
    return HealthObservation(
        service=service,
        environment=environment,
        state=state,
        digest=digest(),
        fingerprint=fingerprint,
        at=at,
        failures_in_a_row=failures,
    )


def looks(
    begin: datetime, end: datetime, every: timedelta = timedelta(minutes=10)
) -> tuple[HealthObservation, ...]:
    """Healthy observations from `begin` to `end`, both included."""
    steps = int((end - begin) / every)
    return (*(a_look(begin + every * n) for n in range(steps)), a_look(end))


def a_person(username: str) -> Person:
    return Person(id=sum(username.encode()), username=username, name=username.title())


def a_commit(author: str = "dana", committer: str | None = None, at: datetime = NOON) -> Commit:
    return Commit(
        id=COMMIT,
        title="feat: something",
        author_name=author,
        author_email=f"{author}@example.org",
        committer_email=f"{committer or author}@example.org",
        at=at,
    )


def an_approval(by: str, **fields: object) -> Approval:
    given: dict[str, object] = {
        "repository": "platform",
        "version": "v1.2.3",
        "commit": COMMIT,
        "digests": {"api-gateway": digest()},
        "by_id": a_person(by).id,
        "source": ApprovalSource.COMMAND,
        "at": NOON,
    }
    return Approval(by=by, **{**given, **fields})  # type: ignore[arg-type]


def a_merge_request(approvers: Iterable[str] = (), **fields: object) -> MergeRequest:
    given: dict[str, object] = {
        "iid": 7,
        "title": "Release",
        "author": a_person("dana"),
        "source_branch": "staging",
        "target_branch": "main",
        "head": "beef" * 10,
        "head_changed_at": NOON - timedelta(hours=2),
        "merged_commit": COMMIT,
        "approvals": tuple(
            MergeApproval(a_person(name), NOON - timedelta(hours=1)) for name in approvers
        ),
    }
    return MergeRequest(**{**given, **fields})  # type: ignore[arg-type]
