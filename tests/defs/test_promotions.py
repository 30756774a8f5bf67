"""Promotion as an asset: prognosis, refusal with all reasons, admission."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dagster import AssetKey, DagsterInstance

from flowmaster_delivery.flows.intake import look_at_ref
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.source import MergeApproval, MergeRequest, Person, PipelineState
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.settings import Settings
from tests.defs.lab import Lab
from tests.flows.conftest import NOW, Platform

ADMISSION = ("image", "promotion")
SERVICES = ("api", "auth", "web")
DANA, SAM, SOFIA = Person(1, "dana"), Person(2, "sam"), Person(3, "sofia")


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> Lab:
    return Lab(memory, settings, Platform())


@pytest.fixture
def release(lab: Lab) -> Lab:
    """api changed and is in staging since an hour; merged to main, tagged v1.1.0, one approval."""
    platform = lab.platform
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.forge.branches["platform"].update({"staging": head, "main": head})
    for environment in ("dev", "staging"):
        platform.bring("api", environment, head)
    platform.forge.groups["group/seniors"] = {"sam", "sofia"}
    platform.forge.people["dana@flowmaster.test"] = DANA
    approve(lab, head, DANA, SAM)
    platform.forge.tag("platform", "v1.1.0", head)
    platform.forge.run_ci("platform", "v1.1.0", head, PipelineState.SUCCESS)
    look_at_ref(platform.repository, "refs/tags/v1.1.0", platform.catalog, lab.ports, NOW)
    return lab


def approve(lab: Lab, head: str, *people: Person) -> None:
    lab.platform.forge.merge_requests[head] = MergeRequest(
        1, "Release", DANA, "staging", "main", head, NOW - timedelta(hours=2), head,
        tuple(MergeApproval(person, NOW - timedelta(hours=1)) for person in people),
    )  # fmt: skip


def soak(lab: Lab, hours: int) -> None:
    image = lab.platform.history.images("api", "staging")[0]
    for minutes in range(hours * 60, -1, -10):
        lab.platform.history.record(
            HealthObservation(
                "api", "staging", HealthState.HEALTHY, image.digest, image.fingerprint,
                NOW - timedelta(minutes=minutes),
            )
        )  # fmt: skip


def test_a_prognosis_is_green_and_says_all_that_is_missing(release: Lab) -> None:
    ran = release.run("production", SERVICES, ADMISSION, version="v1.1.0")
    assert ran.status == "SUCCESS", ran.words
    assert ran.failed_checks("api") == {"soak": "WARN", "approvals": "WARN"}
    assert ran.materialized == {f"{service}/image" for service in SERVICES}
    assert ran.observed == {f"{service}/promotion" for service in SERVICES}
    assert release.platform.history.admissions("api", "production") == ()


def test_a_release_is_a_tag_of_the_staging_digest(release: Lab) -> None:
    release.run("production", ("api",), ("image",), version="v1.1.0")
    (image, *_) = release.platform.history.images("api", "production")
    staging = release.platform.history.images("api", "staging")[0]
    assert image.digest == staging.digest
    assert release.platform.registry.tags["group/platform/api", "v1.1.0"] == staging.digest


def test_a_closed_gate_materializes_nothing_and_says_every_reason(release: Lab) -> None:
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True)
    assert ran.status == "FAILURE"
    assert ran.failed_checks("api") == {"soak": "ERROR", "approvals": "ERROR"}
    assert ran.materialized == {"api/image"}
    assert "api/promotion: soak" in ran.words
    assert release.platform.history.admissions("api", "production") == ()


def test_every_gate_is_a_check_even_if_policy_does_not_ask(release: Lab) -> None:
    release.run("production", ("api",), ADMISSION, version="v1.1.0")
    checks = release.definitions.resolve_asset_graph().get_check_keys_for_assets(
        {AssetKey(["api", "promotion"])}
    )
    assert {check.name for check in checks} == {gate.value for gate in GateName}


def test_an_open_gate_admits_in_the_name_of_who_asked(release: Lab) -> None:
    soak(release, 30)
    approve(release, "c2".ljust(40, "0"), SAM, SOFIA)
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True, reason="go")
    assert ran.status == "SUCCESS", ran.words
    (admission,) = release.platform.history.admissions("api", "production")
    assert (admission.asked_by, admission.reason, admission.ship) == ("dana", "go", True)


def test_a_blocked_promotion_leaves_the_deployment_as_it_is(release: Lab) -> None:
    before = release.platform.history.deployments("api", "production")
    release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True)
    assert release.platform.history.deployments("api", "production") == before
    assert release.tick("ship").run_requests == []


def test_production_asked_by_nobody_is_refused_in_the_asset_too(release: Lab) -> None:
    ran = release.run("production", ("api",), ADMISSION, by=None, version="v1.1.0", ship=True)
    assert ran.status == "FAILURE"
    assert "needs to know who asks" in ran.words


def test_whom_the_proxy_names_must_be_an_operator(release: Lab) -> None:
    from dataclasses import replace

    catalog = release.platform.catalog
    guarded = replace(catalog.environments["production"], operators="group/operators")
    release.platform.catalog = replace(
        catalog, environments={**catalog.environments, "production": guarded}
    )
    release.__post_init__()
    eve = Asker("eve", Via.PROXY)
    ran = release.run("production", ("api",), ADMISSION, by=eve, version="v1.1.0", ship=True)
    assert "eve is not a member of group/operators" in ran.words


def test_an_unknown_version_is_answered_with_the_nearest(release: Lab) -> None:
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.1", ship=True)
    assert ran.status == "FAILURE"
    assert "did you mean 'v1.1.0'?" in ran.words


def test_a_version_that_is_none_is_refused(release: Lab) -> None:
    ran = release.run("production", ("api",), ("image",), version="latest")
    assert "'latest' is no version" in ran.words


def test_a_hold_closes_the_gate(release: Lab) -> None:
    release.platform.history.record(Hold("h1", "api", "production", "devi", "broken", NOW))
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True)
    assert ran.failed_checks("api")["hold"] == "ERROR"


def test_source_without_an_image_stops_who_ships_and_not_a_prognosis(lab: Lab) -> None:
    lab.platform.start()
    lab.platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    shipped = lab.run("dev", ("api",), ADMISSION, ship=True)
    assert shipped.status == "FAILURE"
    assert "no image was built for the source of api" in shipped.words
    asked = lab.run("dev", ("api",), ADMISSION)
    assert asked.status == "SUCCESS"
    assert asked.materialized == set()
