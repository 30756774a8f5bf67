"""Override: one closed gate, for one commit, by who may, for a time; and on record everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.model.catalog import Environment, GateName, OverrideRule
from flowmaster_delivery.model.facts import GateFacts, OverrideFacts, Unread
from flowmaster_delivery.model.promotion import GateCheck, GateState, Override, Verdict
from flowmaster_delivery.policy.gate import evaluate
from flowmaster_delivery.policy.overrides import ends, overridden
from tests.builders import COMMIT, NOON, a_candidate, a_service, looks, production, staging

HOUR = timedelta(hours=1)
RULE = OverrideRule("group/seniors", (GateName.SOAK, GateName.FREEZE), lasts=4 * HOUR)
GIVEN = Override(
    "o1", GateName.SOAK, "production", "platform", "v1.2.3", COMMIT, "sam", "logins fail",
    at=NOON - HOUR, expires_at=NOON + 2 * HOUR,
)  # fmt: skip
GATES = (GateName.SOAK, GateName.TAG_UNMOVED)


def ask(
    *given: Override,
    members: frozenset[str] | Unread = frozenset({"sam"}),
    environment: Environment | None = None,
    facts: GateFacts | None = None,
) -> Verdict:
    read = facts or GateFacts(upstream=looks(NOON - HOUR, NOON))
    if not facts:
        read = replace(read, overrides=OverrideFacts(given, members))
    place = environment or production(gates=GATES, override=RULE)
    return evaluate(a_candidate(), a_service(), place, staging(), read, NOON)


def soak(verdict: Verdict) -> GateCheck:
    return next(check for check in verdict.checks if check.gate is GateName.SOAK)


def test_a_closed_gate_is_let_past_with_name_end_and_reason() -> None:
    check = soak(ask(GIVEN))
    assert (check.state, check.closed, check.remedy) == (GateState.OVERRIDDEN, False, "")
    assert check.summary == (
        "overridden by sam until 14:00 UTC: logins fail (soak 1 h of 24 h in staging)"
    )
    assert check.evidence["earned"] == "1 h"
    assert check.evidence["overridden by"] == "sam"
    assert check.evidence["without it"] == "unmet: soak 1 h of 24 h in staging"


def test_one_gate_alone_is_let_past() -> None:
    assert [check.gate for check in ask(GIVEN).unmet] == [GateName.TAG_UNMOVED]


def test_what_could_not_be_read_is_let_past_as_well() -> None:
    facts = GateFacts(
        upstream=Unread("the database is away"),
        overrides=OverrideFacts((GIVEN,), frozenset({"sam"})),
    )
    check = soak(ask(facts=facts))
    assert check.state is GateState.OVERRIDDEN
    assert "the database is away" in check.summary


def test_an_open_gate_stays_what_it_is() -> None:
    facts = GateFacts(
        upstream=looks(NOON - 30 * HOUR, NOON),
        overrides=OverrideFacts((GIVEN,), frozenset({"sam"})),
    )
    assert soak(ask(facts=facts)).state is GateState.MET


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (replace(GIVEN, expires_at=NOON), "expired 12:00:00 UTC"),
        (replace(GIVEN, at=NOON - 5 * HOUR), "expired 11:00 UTC"),
        (replace(GIVEN, commit="a" * 40), "was given for aaaaaaaa, before the tag moved"),
        (replace(GIVEN, by="eve"), "eve is not of group/seniors"),
    ],
)
def test_an_override_that_does_not_count_says_why_and_opens_nothing(
    given: Override, why: str
) -> None:
    check = soak(ask(given))
    assert check.state is GateState.UNMET
    assert check.evidence[f"override o1 by {given.by}"] == why


@pytest.mark.parametrize(
    "given",
    [
        replace(GIVEN, environment="staging"),
        replace(GIVEN, repository="other"),
        replace(GIVEN, version="v1.2.4"),
        replace(GIVEN, gate=GateName.FREEZE),
    ],
)
def test_an_override_of_something_else_is_none_of_its_business(given: Override) -> None:
    check = soak(ask(given))
    assert check.state is GateState.UNMET
    assert not any("override" in name for name in check.evidence)


def test_a_gate_that_policy_no_longer_lists_is_closed_again() -> None:
    narrow = production(gates=GATES, override=replace(RULE, gates=(GateName.FREEZE,)))
    check = soak(ask(GIVEN, environment=narrow))
    assert check.evidence["override o1 by sam"] == "policy lets nobody override soak"


def test_where_policy_lets_nobody_override_a_recorded_one_opens_nothing() -> None:
    assert soak(ask(GIVEN, environment=production(gates=GATES))).state is GateState.UNMET


def test_a_group_that_cannot_be_read_has_no_members() -> None:
    check = soak(ask(GIVEN, members=Unread("GitLab is away")))
    assert check.state is GateState.UNMET
    assert "could not be read: GitLab is away" in check.evidence["override o1 by sam"]


def test_overrides_that_cannot_be_read_open_nothing() -> None:
    facts = GateFacts(upstream=(), overrides=Unread("the database is away"))
    check = soak(ask(facts=facts))
    assert check.state is GateState.UNMET
    assert check.evidence["overrides"] == "could not be read: the database is away"


def test_of_several_the_one_that_lasts_longest_is_named() -> None:
    longer = replace(GIVEN, id="o2", by="sofia", expires_at=NOON + 3 * HOUR)
    check = soak(ask(GIVEN, longer, members=frozenset({"sam", "sofia"})))
    assert check.summary.startswith("overridden by sofia until 15:00 UTC")


def test_what_was_overridden_is_one_sentence_a_gate() -> None:
    (said,) = overridden(ask(GIVEN).checks)
    assert said.startswith("soak overridden by sam until 14:00 UTC: logins fail")


@given(st.sampled_from(GateName), st.timedeltas(-HOUR * 10, HOUR * 10), st.booleans())
def test_an_override_never_opens_a_gate_that_policy_does_not_list(
    gate: GateName, left: timedelta, member: bool
) -> None:
    given = replace(GIVEN, gate=gate, expires_at=NOON + left)
    everything = production(gates=tuple(GateName), override=RULE)
    facts = GateFacts(overrides=OverrideFacts((given,), frozenset({"sam"} if member else ())))
    past = {c.gate for c in ask(environment=everything, facts=facts).checks if not c.closed}
    may = member and gate in RULE.gates and ends(given, RULE) > NOON
    assert past - {GateName.FREEZE} == ({gate} - {GateName.FREEZE} if may else set())
