"""Hotfix: a shorter soak for what consists of nothing else, by those who may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.catalog import Criticality, GateName, HotfixRule, SoakRule
from flowmaster_delivery.model.facts import GateFacts, HotfixFacts, Unread
from flowmaster_delivery.model.promotion import GateCheck, GateState
from flowmaster_delivery.policy.gate import evaluate
from flowmaster_delivery.policy.hotfix import MOST_COMMITS, claims, required_soak
from tests.builders import (
    NOON,
    a_candidate,
    a_commit,
    a_merge_request,
    a_person,
    a_service,
    looks,
    production,
    staging,
)

RULE = HotfixRule(SoakRule(timedelta(hours=1), timedelta(hours=2)), "group/seniors")
HOTFIX = a_merge_request(iid=12, source_branch="hotfix/login", author=a_person("dana"))
RELEASE = a_merge_request(iid=9, source_branch="staging")
FIX, OTHER = replace(a_commit(), id="f1" * 20), replace(a_commit(), id="0e" * 20)
FACTS = HotfixFacts(HOTFIX, frozenset({"dana"}), (FIX,), {FIX.id: HOTFIX})
USUAL = SoakRule(timedelta(hours=24), timedelta(hours=48))
SERVICE = a_service(criticality=Criticality.CRITICAL)


def soak(facts: HotfixFacts | Unread | None, soaked: timedelta) -> GateCheck:
    seen = GateFacts(upstream=looks(NOON - soaked, NOON), hotfix=facts)
    verdict = evaluate(
        a_candidate(),
        SERVICE,
        production(gates=(GateName.SOAK,), hotfix=RULE),
        staging(),
        seen,
        NOON,
    )
    return next(check for check in verdict.checks if check.gate is GateName.SOAK)


def test_a_hotfix_is_one_by_its_branch_or_its_label() -> None:
    assert claims(RULE, HOTFIX)
    assert claims(RULE, replace(RELEASE, labels=("hotfix",)))
    assert not claims(RULE, RELEASE)
    assert not claims(RULE, None)


def test_a_hotfix_soaks_for_a_shorter_time_and_the_words_say_by_whose_leave() -> None:
    check = soak(FACTS, timedelta(minutes=20))
    assert check.state is GateState.UNMET
    assert check.summary == "soak 20 min of 2 h in staging (hotfix !12 by dana; usually 48 h)"
    assert soak(FACTS, timedelta(hours=2)).state is GateState.MET


def test_a_hotfix_soaks_all_the_same() -> None:
    seen = GateFacts(upstream=(), hotfix=FACTS)
    where = production(gates=(GateName.SOAK, GateName.UPSTREAM_HEALTHY), hotfix=RULE)
    verdict = evaluate(a_candidate(), SERVICE, where, staging(), seen, NOON)
    assert {check.gate for check in verdict.unmet} == set(where.gates)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (
            replace(FACTS, commits=(FIX, OTHER), requests={FIX.id: HOTFIX, OTHER.id: RELEASE}),
            "!12 does not count as a hotfix: 0e0e0e0e of !9 ships with it, which is no hotfix",
        ),
        (
            replace(FACTS, commits=(OTHER,), requests={OTHER.id: None}),
            "0e0e0e0e ships with it and came to main without a merge request",
        ),
        (replace(FACTS, members=frozenset()), "dana, who made !12, is not of group/seniors"),
        (
            replace(FACTS, commits=(FIX,) * (MOST_COMMITS + 1)),
            "21 commits ship with it, and a hotfix has 20 at most",
        ),
        (Unread("GitLab is away"), "whether it is a hotfix could not be read: GitLab is away"),
    ],
)
def test_what_does_not_count_soaks_like_everything_and_says_why(
    facts: HotfixFacts | Unread, why: str
) -> None:
    check = soak(facts, timedelta(hours=3))
    assert check.state is GateState.UNMET
    assert check.summary == "soak 3 h of 48 h in staging"
    assert why in check.evidence["hotfix"]


def test_who_made_any_of_several_hotfixes_must_be_of_the_group() -> None:
    eves = replace(HOTFIX, iid=13, author=a_person("eve"))
    facts = replace(FACTS, commits=(FIX, OTHER), requests={FIX.id: HOTFIX, OTHER.id: eves})
    assert "eve, who made !13" in required_soak(SERVICE, USUAL, RULE, facts).why_not


def test_a_release_that_does_not_say_that_it_is_one_is_told_nothing_of_it() -> None:
    check = soak(None, timedelta(hours=3))
    assert "hotfix" not in check.evidence


def test_a_hotfix_that_has_soaked_as_long_as_everything_is_not_made_to_wait() -> None:
    assert soak(Unread("away"), timedelta(hours=48)).state is GateState.MET


@given(
    st.timedeltas(timedelta(0), timedelta(days=9)), st.timedeltas(timedelta(0), timedelta(days=9))
)
def test_a_hotfix_never_lengthens_a_soak(usual: timedelta, short: timedelta) -> None:
    rule = replace(RULE, soak=SoakRule(short, short))
    required = required_soak(SERVICE, SoakRule(usual, usual), rule, FACTS).required
    assert required == min(usual, short)
