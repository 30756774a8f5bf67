"""Versions: exactly `vX.Y.Z`, ordered as Semantic Versioning says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster_delivery.policy.versioning import is_version, newest_version, parse

NUMBERS = st.tuples(*[st.integers(0, 200)] * 3)


@pytest.mark.parametrize("tag", ["v0.0.0", "v1.2.3", "v10.20.30"])
def test_these_are_versions(tag: str) -> None:
    assert is_version(tag)


@pytest.mark.parametrize(
    "tag",
    [
        *("", "v", "1.2.3", "v1.2", "v1", "v1.2.3.4", "V1.2.3", "v01.2.3", "vv1.2.3", "v-1.2.3"),
        *("v1.2.3-rc.1", "v1.2.3+build", "v1.2.3 ", "v1.2.x", "release-v1.2.3", "v1.2.3\n"),
    ],
)
def test_these_are_none(tag: str) -> None:
    assert parse(tag) is None


def test_ten_is_newer_than_nine() -> None:
    assert newest_version(["v1.9.0", "v1.10.0", "nightly"]) == "v1.10.0"


def test_of_no_versions_none_is_newest() -> None:
    assert newest_version(["main", "v1"]) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_the_newest_is_the_highest_by_its_numbers(numbers: list[tuple[int, ...]]) -> None:
    tags = ["v" + ".".join(map(str, one)) for one in numbers]
    assert newest_version(tags) == "v" + ".".join(map(str, max(numbers)))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=12))
def test_any_text_gets_an_answer(text: str) -> None:
    assert is_version(text) == (parse(text) is not None)
