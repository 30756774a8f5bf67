"""Waves: every dependency earlier, every service once."""

from __future__ import annotations

from graphlib import CycleError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.policy.waves import waves
from tests.builders import a_service


def test_services_without_dependencies_go_side_by_side() -> None:
    assert waves([a_service("a"), a_service("b")]) == (("a", "b"),)


def test_a_dependency_goes_earlier() -> None:
    assert waves([a_service("a", depends_on=("b",)), a_service("b")]) == (("b",), ("a",))


def test_a_dependency_that_is_not_selected_makes_no_wave() -> None:
    assert waves([a_service("a", depends_on=("b",))], {"b": a_service("b")}) == (("a",),)


def test_a_dependency_counts_through_a_service_that_is_not_selected() -> None:
    middle = a_service("middle", depends_on=("low",))
    high, low = a_service("high", depends_on=("middle",)), a_service("low")
    known = {one.name: one for one in (low, middle, high)}
    assert waves([high, low], known) == (("low",), ("high",))


def test_nothing_selected_is_no_wave() -> None:
    assert waves([]) == ()


def test_a_circle_is_refused() -> None:
    with pytest.raises(CycleError):
        waves([a_service("a", depends_on=("b",)), a_service("b", depends_on=("a",))])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, Service], list[str]]:
    count = draw(st.integers(1, 12))
    every = {}
    for number in range(count):
        earlier = [f"s{n}" for n in range(number)]
        needs = draw(st.sets(st.sampled_from(earlier), max_size=3)) if earlier else set()
        every[f"s{number}"] = a_service(f"s{number}", depends_on=tuple(sorted(needs)))
    selected = draw(st.lists(st.sampled_from(sorted(every)), unique=True))
    return every, selected


def needs_of(name: str, every: dict[str, Service]) -> set[str]:
    direct = set(every[name].depends_on)
    return direct.union(*(needs_of(one, every) for one in direct))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_each_once_and_after_all_that_it_needs_however_far_away(
    drawn: tuple[dict[str, Service], list[str]],
) -> None:
    every, selected = drawn
    found = waves([every[name] for name in selected], every)
    place = {name: number for number, wave in enumerate(found) for name in wave}
    assert sorted(name for wave in found for name in wave) == sorted(selected)
    assert all(found)
    for name in selected:
        assert all(place[one] < place[name] for one in needs_of(name, every) if one in place)
