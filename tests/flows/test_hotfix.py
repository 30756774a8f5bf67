"""Hotfix: what is read to tell whether a release is one, and what that costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.promotion import candidate_of, evaluate
from flowmaster_delivery.model.catalog import GateName, HotfixRule, SoakRule
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.promotion import GateCheck, GateState
from flowmaster_delivery.model.source import MergeRequest, Person
from tests.flows.conftest import NOW, Platform

DANA = Person(1, "dana")
RULE = HotfixRule(SoakRule(timedelta(hours=1), timedelta(hours=2)), "group/seniors")


def merged(commit: str, branch: str, iid: int = 12) -> MergeRequest:
    return MergeRequest(iid, "A change", DANA, branch, "main", commit, None, commit, ())


@pytest.fixture
def hotfix(platform: Platform) -> Platform:
    """api was mended by a hotfix of dana, a senior, and has been well in staging for 90 min."""
    production = replace(platform.catalog.environments["production"], hotfix=RULE)
    places = {**platform.catalog.environments, "production": production}
    platform.catalog = replace(platform.catalog, environments=places)
    platform.start()
    platform.forge.groups["group/seniors"] = {"dana", "sam", "sofia"}
    _ship(platform, "c2", {"services/api": "api-2"}, "hotfix/login")
    return platform


def _ship(platform: Platform, commit: str, files: dict[str, str], branch: str | None) -> str:
    head = platform.forge.push("platform", "main", commit, files)
    platform.build(head, "api")
    if branch:
        platform.forge.merge_requests[head] = merged(head, branch)
    platform.bring("api", "staging", head)
    _soak_for_90_minutes(platform)
    return head


def _soak_for_90_minutes(platform: Platform) -> None:
    image = platform.history.images("api", "staging")[0]
    platform.history.records = [
        r for r in platform.history.records if not isinstance(r, HealthObservation)
    ]
    for minutes in range(90, -1, -10):
        at = NOW - timedelta(minutes=minutes)
        platform.history.record(
            HealthObservation(
                "api", "staging", HealthState.HEALTHY, image.digest, image.fingerprint, at
            )
        )


def soak(platform: Platform) -> GateCheck:
    image = platform.history.images("api", "staging")[0]
    released = replace(image, environment="production", ref="v1.1.0", version="v1.1.0")
    candidate = candidate_of(platform.catalog.services["api"], released)
    verdict = evaluate(candidate, platform.reading(), NOW)
    return next(check for check in verdict.checks if check.gate is GateName.SOAK)


def test_a_hotfix_of_a_member_soaks_for_the_shorter_time(hotfix: Platform) -> None:
    check = soak(hotfix)
    assert (check.state, check.summary) == (
        GateState.MET,
        "soak 1 h 30 min of 1 h in staging (hotfix !12 by dana; usually 24 h)",
    )


def test_another_change_that_ships_with_it_makes_it_a_release_like_all(hotfix: Platform) -> None:
    other = hotfix.forge.push("platform", "main", "c3", {"services/api": "api-3"})
    hotfix.forge.merge_requests[other] = merged(other, "staging", 13)
    _ship(hotfix, "c4", {"services/api": "api-4"}, "hotfix/logout")
    check = soak(hotfix)
    assert check.state is GateState.UNMET
    assert "c3000000 of !13 ships with it, which is no hotfix" in check.evidence["hotfix"]


def test_a_change_of_a_service_that_does_not_ship_is_none_of_its_business(
    hotfix: Platform,
) -> None:
    hotfix.forge.push("platform", "main", "c3", {"docs": "more"})
    _ship(hotfix, "c4", {"services/api": "api-4"}, "hotfix/logout")
    assert soak(hotfix).state is GateState.MET


def test_a_push_to_main_without_a_merge_request_is_no_hotfix(hotfix: Platform) -> None:
    hotfix.forge.push("platform", "main", "c3", {"services/api": "api-3"})
    _ship(hotfix, "c4", {"services/api": "api-4"}, "hotfix/logout")
    assert "came to main without a merge request" in soak(hotfix).evidence["hotfix"]


def test_who_left_the_group_has_no_hotfix_any_more(hotfix: Platform) -> None:
    hotfix.forge.groups["group/seniors"].remove("dana")
    assert "dana, who made !12, is not of group/seniors" in soak(hotfix).evidence["hotfix"]


def test_a_usual_release_costs_no_further_question(hotfix: Platform) -> None:
    _ship(hotfix, "c3", {"services/api": "api-3"}, "staging")
    hotfix.forge.calls.clear()
    assert "hotfix" not in soak(hotfix).evidence
    assert hotfix.forge.calls.count("merge_request platform") == 1


def test_gitlab_away_shortens_nothing(hotfix: Platform) -> None:
    hotfix.forge.broken["platform"] = Unreachable("GitLab did not answer in 5 s")
    check = soak(hotfix)
    assert check.state is GateState.UNMET
    assert "did not answer" in check.evidence["hotfix"]
