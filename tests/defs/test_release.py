"""A release on its way to production: what people change in between closes the gate at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from dagster import DagsterEventType, DagsterInstance

from flowmaster_delivery.flows.approval import approve
from flowmaster_delivery.flows.intake import look_at_ref
from flowmaster_delivery.flows.overrides import Wish, give
from flowmaster_delivery.flows.overview import Plan, plan
from flowmaster_delivery.model.catalog import (
    FreezeWindow,
    GateName,
    HotfixRule,
    OverrideRule,
    SoakRule,
)
from flowmaster_delivery.model.errors import Denied
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.source import MergeRequest, Person, PipelineState
from flowmaster_delivery.settings import Settings
from tests.defs.lab import Lab, Ran
from tests.fakes.fake_cluster import FakeCluster
from tests.flows.conftest import NOW, Platform

DANA, SAM, SOFIA = Person(1, "dana"), Person(2, "sam"), Person(3, "sofia")
VERSION = "v1.1.0"
HOUR = timedelta(hours=1)


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> Lab:
    """v1.1.0 changes api; it soaked, and two seniors approved."""
    platform = Platform()
    places = platform.catalog.environments
    production = replace(places["production"], soak=SoakRule(HOUR, HOUR))
    platform.catalog = replace(
        platform.catalog,
        environments={**places, "production": production},
        services={"api": platform.catalog.services["api"]},
    )
    made = Lab(memory, settings, platform, {"production": FakeCluster()})
    commit = platform.forge.push("platform", "develop", "c1", {"services/api": "api-1"})
    platform.build(commit, "api")
    for place in places:
        platform.bring("api", place, commit)
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.forge.branches["platform"].update({"staging": head, "main": head})
    platform.bring("api", "staging", head)
    _soak(made)
    platform.forge.groups["group/seniors"] = {"sam", "sofia"}
    platform.forge.people["dana@flowmaster.test"] = DANA
    _tag(made, head)
    for senior in (SAM, SOFIA):
        _approve(made, senior)
    return made


def _soak(lab: Lab) -> None:
    image = lab.platform.history.images("api", "staging")[0]
    for minutes in range(90, -1, -10):
        at = NOW - timedelta(minutes=minutes)
        lab.platform.history.record(
            HealthObservation(
                "api", "staging", HealthState.HEALTHY, image.digest, image.fingerprint, at
            )
        )


def _tag(lab: Lab, commit: str) -> None:
    platform = lab.platform
    platform.forge.tag("platform", VERSION, commit)
    platform.forge.run_ci("platform", VERSION, commit, PipelineState.SUCCESS)
    look_at_ref(platform.repository, f"refs/tags/{VERSION}", platform.catalog, lab.ports, NOW)


def _approve(lab: Lab, person: Person, *, withdraw: bool = False) -> None:
    place = lab.platform.catalog.environment("production")
    catalog, ports = lab.platform.catalog, lab.ports
    approve(place, VERSION, person, catalog, ports, NOW, withdraw=withdraw)


def _plan(lab: Lab) -> Plan:
    place = lab.platform.catalog.environment("production")
    return plan(place, VERSION, (), lab.platform.reading(), NOW)


def _promote(lab: Lab) -> Ran:
    return lab.run("production", ("api",), ("image", "promotion"), ship=True, version=VERSION)


def test_a_release_that_has_all_is_admitted(lab: Lab) -> None:
    assert _plan(lab).open
    ran = _promote(lab)
    assert ran.status == "SUCCESS", ran.words
    assert "api/promotion" in ran.materialized


def test_an_approval_withdrawn_between_plan_and_promotion_is_gone(lab: Lab) -> None:
    assert _plan(lab).open
    _approve(lab, SOFIA, withdraw=True)
    ran = _promote(lab)
    assert (ran.status, ran.failed_checks("api")) == ("FAILURE", {"approvals": "ERROR"})
    assert "api/promotion" not in ran.materialized


def test_an_approval_withdrawn_between_promotion_and_deployment_is_gone(lab: Lab) -> None:
    assert _promote(lab).status == "SUCCESS"
    _approve(lab, SOFIA, withdraw=True)
    ran = lab.run("production", ("api",), ("deployment",), version=VERSION)
    assert ran.status == "FAILURE"
    assert "the gate of api in production is closed: approvals: approvals 1 of 2" in ran.words
    assert lab.clusters["production"].calls == []  # type: ignore[attr-defined]


def test_somebody_who_leaves_the_group_in_between_counts_no_more(lab: Lab) -> None:
    assert _plan(lab).open
    lab.platform.forge.groups["group/seniors"].discard("sofia")
    assert _promote(lab).failed_checks("api") == {"approvals": "ERROR"}


def test_a_tag_that_moved_after_the_approvals_starts_with_none(lab: Lab) -> None:
    other = lab.platform.forge.push("platform", "main", "c3", {"README.md": "words"})
    _tag(lab, other)
    ran = _promote(lab)
    assert ran.failed_checks("api") == {"approvals": "ERROR"}
    assert "before it moved" in str(_plan(lab).rows[0].verdict.unmet)


def test_a_tag_that_moved_behind_our_back_stops_what_was_admitted(lab: Lab) -> None:
    assert _promote(lab).status == "SUCCESS"
    lab.platform.forge.tag("platform", VERSION, "c1")
    ran = lab.run("production", ("api",), ("deployment",), version=VERSION)
    assert "tag_unmoved: the tag v1.1.0 moved from" in ran.words


def test_a_token_that_expired_in_between_stops_what_was_admitted(lab: Lab) -> None:
    assert _promote(lab).status == "SUCCESS"
    lab.platform.forge.broken["platform"] = Denied("GitLab denies our token (401); renew it")
    ran = lab.run("production", ("api",), ("deployment",), version=VERSION)
    assert ran.status == "FAILURE"
    assert "GitLab denies our token (401); renew it" in ran.words


def _frozen(lab: Lab) -> None:
    """production is frozen all day, and seniors may override that."""
    places = lab.platform.catalog.environments
    before = places["production"]
    window = FreezeWindow("moving house", first_day=NOW.date(), until=NOW.date())
    frozen = replace(
        before,
        gates=(*before.gates, GateName.FREEZE),
        freezes=(window,),
        hotfix=HotfixRule(SoakRule(), "group/seniors"),
        override=OverrideRule("group/seniors", (GateName.FREEZE,)),
    )
    lab.platform.catalog = replace(
        lab.platform.catalog, environments={**places, "production": frozen}
    )
    lab.__post_init__()


def _override(lab: Lab, person: Person, lasts: timedelta = HOUR) -> None:
    place = lab.platform.catalog.environment("production")
    wish = Wish(VERSION, GateName.FREEZE, "logins fail", lasts)
    give(wish, place, person, lab.platform.reading(), lab.now)


def _severity(ran: Ran, gate: GateName) -> tuple[bool, str, str]:
    kind = DagsterEventType.ASSET_CHECK_EVALUATION
    found = [e.asset_check_evaluation_data for e in ran.events if e.event_type is kind]
    check = next(one for one in found if one.check_name == gate.value)
    return check.passed, check.severity.value, check.description or ""


def test_an_overridden_gate_admits_and_is_on_record_everywhere(lab: Lab) -> None:
    _frozen(lab)
    assert _promote(lab).failed_checks("api") == {"freeze": "ERROR"}
    _override(lab, SAM)
    ran = _promote(lab)
    assert ran.status == "SUCCESS", ran.words
    passed, severity, words = _severity(ran, GateName.FREEZE)
    assert (passed, severity) == (True, "WARN")
    assert words == "overridden by sam until 13:00 UTC: logins fail (frozen by moving house)"
    (admission, *_) = lab.platform.history.admissions("api", "production")
    assert admission.overrides == (f"freeze {words}",)
    assert [event.kind for event in lab.platform.notifier.told].count("gate_overridden") == 1
    _run_what_was_before(lab)
    lab.run("production", ("api",), ("deployment",), version=VERSION, reason="go")
    (deployed, *_) = lab.platform.history.deployments("api", "production")
    assert deployed.reason == f"go; freeze {words}"


def _run_what_was_before(lab: Lab) -> None:
    catalog, cluster = lab.platform.catalog, lab.clusters["production"]
    (before,) = lab.platform.history.deployments("api", "production")
    service = catalog.services["api"]
    cluster.deploy(service, catalog.reference(service, before.digest))  # type: ignore[attr-defined]


def test_an_override_that_expires_between_promotion_and_deployment_is_gone(lab: Lab) -> None:
    _frozen(lab)
    _override(lab, SAM)
    assert _promote(lab).status == "SUCCESS"
    lab.now = NOW + HOUR
    ran = lab.run("production", ("api",), ("deployment",), version=VERSION)
    assert ran.status == "FAILURE"
    assert "the gate of api in production is closed: freeze: frozen by moving house" in ran.words
    assert lab.clusters["production"].calls == []  # type: ignore[attr-defined]


def test_an_override_of_somebody_who_left_the_group_is_gone(lab: Lab) -> None:
    _frozen(lab)
    lab.platform.forge.groups["group/seniors"].add("devi")
    _override(lab, Person(7, "devi"))
    lab.platform.forge.groups["group/seniors"].discard("devi")
    assert _promote(lab).failed_checks("api") == {"freeze": "ERROR"}


def test_an_override_of_one_gate_opens_no_other(lab: Lab) -> None:
    _frozen(lab)
    _override(lab, SAM)
    _approve(lab, SOFIA, withdraw=True)
    assert _promote(lab).failed_checks("api") == {"approvals": "ERROR"}


def test_a_freeze_holds_a_hotfix_as_well(lab: Lab) -> None:
    _frozen(lab)
    lab.platform.forge.groups["group/seniors"].add("dana")
    head = lab.platform.forge.tags["platform"][VERSION]
    lab.platform.forge.merge_requests[head] = MergeRequest(
        12, "Mend the login", DANA, "hotfix/login", "main", head, None, head, ()
    )
    assert _promote(lab).failed_checks("api") == {"freeze": "ERROR"}
