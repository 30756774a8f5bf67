"""Adopt: what runs already becomes the record's beginning, on the word of a named person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowmaster_delivery.flows.adopt import Adopted, adopt
from flowmaster_delivery.flows.image import Source, affected
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.model.catalog import Kind
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.policy.images import source_digest
from tests.fakes.fake_cluster import FakeCluster
from tests.flows.conftest import NOW, Platform

FILES = {f"services/{name}": f"{name}-1" for name in ("api", "auth", "web")}


@pytest.fixture
def running(platform: Platform) -> Platform:
    """Three services run on the cluster, built from develop's head; nothing is on record."""
    commit = platform.forge.push("platform", "develop", "c1", {**FILES, "shared/libraries": "s1"})
    platform.build(commit, "api", "auth", "web")
    return platform


@pytest.fixture
def cluster(running: Platform) -> FakeCluster:
    made = FakeCluster()
    for service in running.catalog.services.values():
        image = running.registry.digest_of(service.image, "c1000000")
        assert image is not None
        made.deploy(service, f"registry/{service.image}@{image.digest}")
    return made


def _reading(platform: Platform, cluster: FakeCluster) -> Reading:
    ports = replace(platform.ports, cluster=lambda _: cluster)
    return Reading(platform.catalog, ports)


def _adopt(
    platform: Platform, cluster: FakeCluster, environment: str = "dev"
) -> dict[str, Adopted]:
    place = platform.catalog.environment(environment)
    found = adopt(place, "dana", "it runs", _reading(platform, cluster), NOW)
    return {adopted.service: adopted for adopted in found}


def _as(platform: Platform, name: str, kind: Kind) -> None:
    services = dict(platform.catalog.services)
    services[name] = replace(services[name], kind=kind)
    platform.catalog = replace(platform.catalog, services=services)


def test_what_runs_becomes_image_deployment_and_health(
    running: Platform, cluster: FakeCluster
) -> None:
    found = _adopt(running, cluster)["api"]
    assert (found.why_not, found.commit) == ("", "c1".ljust(40, "0"))
    (record,) = running.history.deployments("api", "dev")
    assert (record.method, record.digest, record.asked_by) == (
        Method.ADOPTION,
        found.digest,
        "dana",
    )
    assert running.history.images("api", "dev")[0].ref == "develop"
    (look,) = running.history.observations("api", "dev")
    assert (look.digest, look.fingerprint) == (found.digest, record.fingerprint)


def test_what_was_adopted_is_not_delivered_again(running: Platform, cluster: FakeCluster) -> None:
    _adopt(running, cluster)
    head = running.forge.branches["platform"]["develop"]
    source = Source(running.catalog.environment("dev"), running.repository, head, "develop")
    assert affected(source, _reading(running, cluster)) == ()


def test_adopting_twice_changes_nothing(running: Platform, cluster: FakeCluster) -> None:
    first = _adopt(running, cluster)
    before = list(running.history.records)
    again = _adopt(running, cluster)
    assert running.history.records == before
    assert again["api"].why_not == "on record already"
    assert again["api"].digest == first["api"].digest


def test_a_failed_try_on_record_does_not_stand_for_what_runs(
    running: Platform, cluster: FakeCluster
) -> None:
    running.history.record(
        DeploymentRecord(
            "api", "dev", Method.ROLLOUT, Outcome.FAILURE, "sha256:bad", None, "f", "c" * 40,
            NOW, NOW, "intake",
        )
    )  # fmt: skip
    found = _adopt(running, cluster)["api"]
    assert (found.why_not, found.digest != "sha256:bad") == ("", True)


def test_a_service_that_is_not_on_the_cluster_is_named_and_the_others_are_adopted(
    running: Platform, cluster: FakeCluster
) -> None:
    del cluster.deployments["web"]
    found = _adopt(running, cluster)
    assert "there is no Deployment web" in found["web"].why_not
    assert [found[name].why_not for name in ("api", "auth")] == ["", ""]
    assert not running.history.deployments("web", "dev")


def test_a_service_in_the_middle_of_a_rollout_is_left_until_it_is_calm(
    running: Platform, cluster: FakeCluster
) -> None:
    cluster.edit("api", total=2, updated=1)
    assert "adopt it when it is calm" in _adopt(running, cluster)["api"].why_not


def test_an_image_that_the_registry_does_not_have_is_named(
    running: Platform, cluster: FakeCluster
) -> None:
    running.registry.images.clear()
    found = _adopt(running, cluster)["api"]
    assert "but the registry does not have it" in found.why_not


def test_an_image_without_a_commit_cannot_be_vouched_for(
    running: Platform, cluster: FakeCluster
) -> None:
    images = running.registry.images
    images.update({key: replace(image, revision=None) for key, image in images.items()})
    assert "no commit label" in _adopt(running, cluster)["api"].why_not


def test_a_registry_that_is_away_adopts_nothing_and_says_so(
    running: Platform, cluster: FakeCluster
) -> None:
    def away(image: str, digest: str) -> None:
        raise Unreachable("the registry did not answer")

    running.registry.read = away  # type: ignore[method-assign]
    with pytest.raises(Unreachable, match="did not answer"):
        _adopt(running, cluster)


def test_a_version_is_that_of_the_commit_that_runs(running: Platform, cluster: FakeCluster) -> None:
    for version in ("v1.0.0", "v1.0.1", "nightly"):
        running.forge.tag("platform", version, "c1")
    assert _adopt(running, cluster, "production")["api"].version == "v1.0.1"
    assert running.history.images("api", "production")[0].ref == "v1.0.1"


def test_a_job_is_what_ci_built_for_the_branch_and_not_for_the_newest_version(
    running: Platform, cluster: FakeCluster
) -> None:
    _as(running, "web", Kind.JOB)
    image = running.catalog.service("web").image
    running.registry.push(image, "c1".ljust(40, "0"), tag="v1.0.0")
    running.forge.tag("platform", "v1.0.0", "c1")
    head = running.forge.push("platform", "develop", "c2", {"services/web": "web-2"})
    built = running.registry.push(image, head)
    assert _adopt(running, cluster)["web"].digest == built


def test_a_job_whose_source_is_older_than_the_head_is_found(
    running: Platform, cluster: FakeCluster
) -> None:
    _as(running, "web", Kind.JOB)
    built = running.registry.digest_of(running.catalog.service("web").image, "c1000000")
    running.forge.push("platform", "develop", "c2", {"README.md": "words"})
    found = _adopt(running, cluster)["web"]
    assert built is not None
    assert (found.digest, found.commit) == (built.digest, "c2".ljust(40, "0"))


def test_a_job_in_production_is_that_of_the_newest_version(
    running: Platform, cluster: FakeCluster
) -> None:
    _as(running, "web", Kind.JOB)
    running.forge.tag("platform", "v1.0.0", "c1")
    made = running.registry.push(running.catalog.service("web").image, "c1", tag="v1.0.0")
    found = _adopt(running, cluster, "production")["web"]
    assert (found.digest, found.version) == (made, "v1.0.0")


def test_production_without_any_version_has_no_job_to_adopt(
    running: Platform, cluster: FakeCluster
) -> None:
    _as(running, "web", Kind.JOB)
    assert _adopt(running, cluster, "production")["web"].why_not == "platform has no tag vX.Y.Z"


def test_manifests_are_their_source(running: Platform, cluster: FakeCluster) -> None:
    _as(running, "web", Kind.MANIFESTS)
    head = running.forge.branches["platform"]["develop"]
    fingerprint = running.reading().fingerprints(running.repository, head)["web"]
    assert _adopt(running, cluster)["web"].digest == source_digest(fingerprint)


def test_an_artifact_needs_no_pod(running: Platform, cluster: FakeCluster) -> None:
    _as(running, "web", Kind.ARTIFACT)
    del cluster.deployments["web"]
    assert _adopt(running, cluster)["web"].why_not == ""


def test_the_schema_of_an_adopted_job_is_where_its_image_leads_to(
    running: Platform, cluster: FakeCluster
) -> None:
    _as(running, "web", Kind.JOB)
    labels = {"before": "6", "after": "7", "phase": "expand", "reversible": "false"}
    said = {f"ai.flowmaster.migration.{name}": value for name, value in labels.items()}
    web = running.catalog.services["web"]
    running.registry.push(web.image, "c1".ljust(40, "0"), labels=said)
    _adopt(running, cluster)
    [word] = running.history.migrations("web", "dev")
    assert (word.version, word.settled, word.asked_by) == (7, True, "dana")
    _adopt(running, cluster)
    assert len(running.history.migrations("web", "dev")) == 1


def test_what_an_adopted_image_says_of_a_schema_is_on_record(
    running: Platform, cluster: FakeCluster
) -> None:
    services = dict(running.catalog.services)
    services["api"] = replace(services["api"], migrations=("web",))
    running.catalog = replace(running.catalog, services=services)
    image = running.catalog.services["api"].image
    pushed = running.registry.digest_of(image, "c1000000")
    assert pushed is not None
    labels = {"ai.flowmaster.schema.web": "6-7"}
    running.registry.images[image, pushed.digest] = replace(pushed, labels=labels)
    _adopt(running, cluster)
    assert str(running.history.deployments("api", "dev")[0].needs("web")) == "6-7"
