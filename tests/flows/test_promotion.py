"""Promotion: all gates are asked, each with its evidence; what cannot be read keeps them closed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowmaster_delivery.flows.approval import approve, find_release
from flowmaster_delivery.flows.intake import look_at_ref
from flowmaster_delivery.flows.promotion import admit, evaluate, newest_candidate
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.errors import NotFound, Refused, UnknownName, Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import GateState, Hold, Verdict
from flowmaster_delivery.model.source import MergeApproval, MergeRequest, Person, PipelineState
from tests.flows.conftest import NOW, Platform

DANA, SAM, SOFIA = Person(1, "dana"), Person(2, "sam"), Person(3, "sofia")


@pytest.fixture
def release(platform: Platform) -> Platform:
    """api changed, was healthy in staging for 30 h, was merged to main and tagged v1.1.0."""
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.forge.branches["platform"].update({"staging": head, "main": head})
    for environment in ("dev", "staging"):
        platform.bring("api", environment, head)
    _soak(platform, hours=30)
    platform.forge.groups["group/seniors"] = {"sam", "sofia", "sergio"}
    platform.forge.people["dana@flowmaster.test"] = DANA
    platform.forge.merge_requests[head] = MergeRequest(
        1, "Release", DANA, "staging", "main", head, NOW - timedelta(hours=2), head,
        tuple(MergeApproval(person, NOW - timedelta(hours=1)) for person in (DANA, SAM)),
    )  # fmt: skip
    platform.forge.tag("platform", "v1.1.0", head)
    platform.forge.run_ci("platform", "v1.1.0", head, PipelineState.SUCCESS)
    look_at_ref(platform.repository, "refs/tags/v1.1.0", platform.catalog, platform.ports, NOW)
    for service, digest in platform.history.releases("platform")[0].images.items():
        image = platform.history.images(service, "staging")[0]
        assert image.digest == digest
    return platform


def _soak(platform: Platform, hours: int) -> None:
    image = platform.history.images("api", "staging")[0]
    for minutes in range(hours * 60, -1, -10):
        platform.history.record(
            HealthObservation(
                "api", "staging", HealthState.HEALTHY, image.digest, image.fingerprint,
                NOW - timedelta(minutes=minutes),
            )
        )  # fmt: skip


def _evaluate(platform: Platform, service: str = "api") -> Verdict:
    from flowmaster_delivery.flows.image import Source, resolve
    from flowmaster_delivery.flows.promotion import candidate_of
    from flowmaster_delivery.model.image import ImageRecord

    repository, seen = find_release("v1.1.0", platform.catalog, platform.ports)
    production = platform.catalog.environments["production"]
    source = Source(production, repository, seen.commit, "v1.1.0", "v1.1.0")
    reading = platform.reading()
    image = resolve(platform.catalog.services[service], source, reading, NOW)
    assert isinstance(image, ImageRecord)
    return evaluate(candidate_of(platform.catalog.services[service], image), reading, NOW)


def _unmet(verdict: Verdict) -> set[GateName]:
    return {check.gate for check in verdict.unmet}


def test_one_senior_of_two_is_missing_since_the_author_does_not_count(release: Platform) -> None:
    verdict = _evaluate(release)
    assert _unmet(verdict) == {GateName.APPROVALS}
    (check,) = verdict.unmet
    assert "1 of 2" in check.summary


def test_a_second_senior_by_command_opens_the_gate(release: Platform) -> None:
    production = release.catalog.environments["production"]
    approve(production, "v1.1.0", SOFIA, release.catalog, release.ports, NOW)
    verdict = _evaluate(release)
    assert verdict.open, verdict.unmet
    assert admit(verdict, ship=True, asked_by="sam", reason="release", now=NOW) is not None


def test_a_withdrawn_approval_closes_it_again(release: Platform) -> None:
    production = release.catalog.environments["production"]
    for withdraw in (False, True):
        approve(production, "v1.1.0", SOFIA, release.catalog, release.ports, NOW, withdraw=withdraw)
    verdict = _evaluate(release)
    assert _unmet(verdict) == {GateName.APPROVALS}
    assert admit(verdict, ship=True, asked_by="sam", reason="release", now=NOW) is None


def test_all_that_is_missing_is_said_at_once(release: Platform) -> None:
    release.history.records = [
        r for r in release.history.records
        if not (isinstance(r, HealthObservation) and r.environment == "staging")
    ]  # fmt: skip
    release.history.record(Hold("h1", "api", "production", "sam", "wait", NOW))
    release.forge.tag("platform", "v1.1.0", "c1")
    assert _unmet(_evaluate(release)) >= {
        GateName.SOAK,
        GateName.APPROVALS,
        GateName.HOLD,
        GateName.TAG_UNMOVED,
    }


def test_a_registry_that_does_not_answer_keeps_the_gate_closed(release: Platform) -> None:
    def away(image: str, digest: str) -> None:
        raise Unreachable("the registry did not answer in 5 s")

    release.registry.read = away  # type: ignore[assignment, method-assign]
    check = next(c for c in _evaluate(release).checks if c.gate is GateName.IMAGE)
    assert check.state is GateState.UNREADABLE
    assert "did not answer" in check.summary


def test_a_service_that_runs_the_digest_already_is_not_asked(release: Platform) -> None:
    verdict = _evaluate(release, "web")
    assert verdict.open
    assert {check.state for check in verdict.checks} == {GateState.NOT_REQUIRED}


def test_an_approval_of_somebody_outside_the_group_is_refused(release: Platform) -> None:
    production = release.catalog.environments["production"]
    with pytest.raises(Refused, match="not a member of group/seniors"):
        approve(production, "v1.1.0", DANA, release.catalog, release.ports, NOW)


def test_nothing_is_to_be_approved_where_no_approval_is_asked(release: Platform) -> None:
    dev = release.catalog.environments["dev"]
    with pytest.raises(Refused, match="asks for no approvals"):
        approve(dev, "v1.1.0", SAM, release.catalog, release.ports, NOW)


def test_an_unknown_version_is_answered_with_the_nearest(release: Platform) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'v1\.1\.0'"):
        find_release("v1.1.1", release.catalog, release.ports)


def test_a_candidate_that_was_never_resolved_is_not_found(release: Platform) -> None:
    production = release.catalog.environments["production"]
    with pytest.raises(NotFound, match="materialize api/image"):
        newest_candidate(release.catalog.services["api"], production, "v9.0.0", release.reading())
