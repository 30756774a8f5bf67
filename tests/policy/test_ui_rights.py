"""What somebody may do in the UI besides looking."""

from __future__ import annotations

import pytest

from flowmaster_delivery.policy.asking import ANONYMOUS, LOCAL, Asker, Via
from flowmaster_delivery.policy.ui_rights import UiRight, groups_that_operate, ui_rights
from tests.builders import dev, production


def test_who_is_known_submits_runs_and_operators_control_them_too() -> None:
    dana = Asker("dana", Via.PROXY)
    assert ui_rights(dana, operates=False) == {UiRight.LAUNCH}
    assert ui_rights(dana, operates=True) == {UiRight.LAUNCH, UiRight.CONTROL}


@pytest.mark.parametrize("operates", [True, False])
def test_a_request_that_hides_its_name_may_only_look(*, operates: bool) -> None:
    assert ui_rights(Asker(ANONYMOUS, Via.UNREADABLE), operates=operates) == frozenset()


@pytest.mark.parametrize("operates", [True, False])
def test_without_a_header_configured_only_grants_come(*, operates: bool) -> None:
    assert ui_rights(Asker(ANONYMOUS, Via.NOTHING), operates=operates) == {UiRight.LAUNCH}


def test_the_sandboxs_user_may_do_everything_that_anybody_may() -> None:
    assert ui_rights(Asker(LOCAL, Via.SANDBOX), operates=True) == frozenset(UiRight)


def test_operators_of_any_environment_operate() -> None:
    assert groups_that_operate([dev(), production()]) == frozenset()
    assert groups_that_operate([dev(operators="a"), production(operators="a/b")]) == {"a", "a/b"}
