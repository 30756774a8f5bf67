"""Asking: whom a proxy may name, and who may act where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.policy.asking import (
    ANONYMOUS,
    LOCAL,
    Asker,
    Via,
    named_by_proxy,
    not_permitted,
    operators_to_ask,
)
from tests.builders import dev, production

NOBODY = Asker(ANONYMOUS, Via.NOTHING)
UNREADABLE = Asker(ANONYMOUS, Via.UNREADABLE)
DANA = Asker("dana", Via.PROXY)
OPERATED = production(operators="group/operators")
OPERATORS = frozenset({"sam"})


@pytest.mark.parametrize("name", ["d", "dana", "Dana.Smith-2", "_dana", ".dana", "4711", "d" * 255])
def test_a_username_of_gitlab_is_believed(name: str) -> None:
    assert named_by_proxy([name]) == Asker(name, Via.PROXY)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["dana", "dana"],
        ["dana,eve"],
        ["dana, eve"],
        ["dana|grant"],
        ["dana eve"],
        [" dana"],
        ["dana\n"],
        ["dana\x00"],
        ["dana\u200b"],
        ["d\u00e4na"],
        ["-dana"],
        ["dana."],
        ["dana@example.org"],
        ["d" * 256],
    ],
)
def test_anything_else_names_nobody(values: list[str]) -> None:
    assert named_by_proxy(values) == UNREADABLE


@given(st.text())
def test_no_name_that_is_believed_can_end_a_part_of_a_seal(text: str) -> None:
    name = named_by_proxy([text]).name
    assert not set("|,;/ \t\r\n") & set(name)
    assert name.isascii()
    assert name.isprintable()


def test_where_people_decide_the_asker_must_be_known() -> None:
    for nobody in (NOBODY, UNREADABLE):
        for place in (production(), OPERATED, dev(operators="group/operators")):
            refused = not_permitted(nobody, place, OPERATORS)
            assert refused is not None
            assert "who asks" in refused


def test_an_automatic_environment_without_operators_asks_nobody() -> None:
    assert not_permitted(NOBODY, dev(), frozenset()) is None


@pytest.mark.parametrize("via", [Via.PROXY, Via.GITLAB])
def test_only_operators_act_where_there_are_any(via: Via) -> None:
    assert operators_to_ask(Asker("eve", via), OPERATED) == "group/operators"
    assert not_permitted(Asker("sam", via), OPERATED, OPERATORS) is None
    refused = not_permitted(Asker("eve", via), OPERATED, OPERATORS)
    assert refused is not None
    assert "eve is not a member of group/operators" in refused
    assert "ask one of that group" in refused


def test_an_operator_by_another_case_is_somebody_else() -> None:
    assert not_permitted(Asker("Sam", Via.PROXY), OPERATED, OPERATORS) is not None


def test_operators_are_asked_in_an_automatic_environment_too() -> None:
    place = dev(operators="group/operators")
    assert not_permitted(DANA, place, OPERATORS) is not None


def test_an_empty_group_lets_nobody_pass() -> None:
    assert not_permitted(Asker("sam", Via.PROXY), OPERATED, frozenset()) is not None


@pytest.mark.parametrize("who", [Asker("intake", Via.GRANT), Asker(LOCAL, Via.SANDBOX)])
def test_a_grant_and_the_sandboxs_user_are_not_asked_again(who: Asker) -> None:
    assert operators_to_ask(who, OPERATED) is None
    assert not_permitted(who, OPERATED, frozenset()) is None


def test_without_operators_anybody_known_may_act() -> None:
    assert not_permitted(DANA, production(), frozenset()) is None
