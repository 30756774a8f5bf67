"""Overrides: given by name, bound to a commit, told to people, and read again when they count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.overrides import Wish, give, listed, override_facts
from flowmaster_delivery.model.catalog import Environment, GateName, OverrideRule
from flowmaster_delivery.model.errors import Refused, UnknownName, Unreachable
from flowmaster_delivery.model.events import Severity
from flowmaster_delivery.model.facts import OverrideFacts, Unread
from flowmaster_delivery.model.promotion import Candidate, Override, ReleaseSeen
from flowmaster_delivery.model.source import Person
from tests.flows.conftest import NOW, Platform

SAM, EVE = Person(2, "sam"), Person(9, "eve")
HOUR = timedelta(hours=1)
RULE = OverrideRule("group/seniors", (GateName.SOAK,), lasts=4 * HOUR)
WISH = Wish("v1.1.0", GateName.SOAK, "logins fail", 2 * HOUR)
COMMIT = "c2".ljust(40, "0")


@pytest.fixture
def release(platform: Platform) -> Platform:
    """v1.1.0 was seen, and production lets seniors override the soak."""
    production = replace(platform.catalog.environments["production"], override=RULE)
    places = {**platform.catalog.environments, "production": production}
    platform.catalog = replace(platform.catalog, environments=places)
    platform.forge.groups["group/seniors"] = {"sam"}
    platform.history.record(ReleaseSeen("platform", "v1.1.0", COMMIT, NOW - HOUR))
    return platform


def _production(platform: Platform) -> Environment:
    return platform.catalog.environments["production"]


def _give(platform: Platform, wish: Wish = WISH, person: Person = SAM) -> Override:
    return give(wish, _production(platform), person, platform.reading(), NOW)


def _candidate(version: str | None = "v1.1.0") -> Candidate:
    return Candidate("api", "production", "platform", COMMIT, "d", "f", "v1.1.0", version)


def test_an_override_is_recorded_for_the_commit_and_everybody_is_told(release: Platform) -> None:
    given = _give(release)
    assert release.history.overrides("platform", "v1.1.0") == (given,)
    assert (given.by, given.commit, given.expires_at) == ("sam", COMMIT, NOW + 2 * HOUR)
    (told,) = release.notifier.told
    assert (told.kind, told.severity) == ("gate_overridden", Severity.WARNING)
    assert told.title == "sam lets platform@v1.1.0 past soak of production until 14:00 UTC"
    assert "logins fail" in told.text


def test_without_a_time_it_lasts_as_long_as_policy_allows(release: Platform) -> None:
    assert _give(release, replace(WISH, lasts=None)).expires_at == NOW + RULE.lasts


@pytest.mark.parametrize(
    ("wish", "person", "words"),
    [
        (replace(WISH, gate=GateName.APPROVALS), SAM, "lets soak be overridden, and not approvals"),
        (replace(WISH, reason="  "), SAM, "needs a reason"),
        (replace(WISH, lasts=5 * HOUR), SAM, "lasts 4 h at most, and not 5 h"),
        (replace(WISH, lasts=timedelta(0)), SAM, "lasts 4 h at most"),
        (WISH, EVE, "eve is not a member of group/seniors"),
    ],
)
def test_what_policy_does_not_allow_is_refused_and_not_on_record(
    release: Platform, wish: Wish, person: Person, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        _give(release, wish, person)
    assert release.history.overrides("platform", "v1.1.0") == ()
    assert release.notifier.told == []


def test_an_environment_without_a_rule_lets_nothing_be_overridden(release: Platform) -> None:
    dev = release.catalog.environments["dev"]
    with pytest.raises(Refused, match="nothing can be overridden in dev"):
        give(WISH, dev, SAM, release.reading(), NOW)


def test_a_version_that_nobody_saw_is_named_with_the_nearest(release: Platform) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'v1\.1\.0'"):
        _give(release, replace(WISH, version="v1.1.1"))


def test_gitlab_away_lets_nobody_override(release: Platform) -> None:
    _members_are_away(release)
    with pytest.raises(Unreachable):
        _give(release)
    assert release.history.overrides("platform", "v1.1.0") == ()


def test_a_list_says_which_count_and_why_the_others_do_not(release: Platform) -> None:
    _give(release)
    _give(release, replace(WISH, lasts=HOUR))
    later = NOW + 90 * timedelta(minutes=1)
    found = listed(_production(release), "v1.1.0", release.reading(), later)
    assert [told.flaw for told in found] == ["expired 13:00 UTC", ""]
    release.forge.groups["group/seniors"].clear()
    left = listed(_production(release), "v1.1.0", release.reading(), later)
    assert left[1].flaw == "sam is not of group/seniors"


def test_a_list_is_given_when_gitlab_is_away_and_says_that_nobody_counts(
    release: Platform,
) -> None:
    _give(release)
    _members_are_away(release)
    (told,) = listed(_production(release), "v1.1.0", release.reading(), NOW)
    assert "could not be read: GitLab is away" in told.flaw


def test_membership_is_read_again_when_it_counts(release: Platform) -> None:
    _give(release)
    release.forge.groups["group/seniors"] = {"sofia"}
    facts = override_facts(_candidate(), _production(release), release.reading())
    assert facts.members == {"sofia"}
    _members_are_away(release)
    away = override_facts(_candidate(), _production(release), release.reading())
    assert isinstance(away.members, Unread)


def test_a_candidate_without_a_version_or_an_override_costs_no_question(
    release: Platform,
) -> None:
    release.forge.calls.clear()
    reading = release.reading()
    for version in (None, "v1.1.0"):
        facts = override_facts(_candidate(version), _production(release), reading)
        assert facts == OverrideFacts()
    assert release.forge.calls == []


def _members_are_away(platform: Platform) -> None:
    def away(group: str) -> frozenset[str]:
        raise Unreachable("GitLab is away")

    platform.forge.members = away  # type: ignore[method-assign]
