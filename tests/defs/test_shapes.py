"""What the bodies of assets have in common: failures, retries, what is read again."""

import logging
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from dagster import AssetExecutionContext, AssetKey, Failure, RetryRequested

from flowmaster_delivery.defs.resources import Recent
from flowmaster_delivery.defs.shapes import RETRIES, described, identifier, in_our_words
from flowmaster_delivery.model.errors import Denied, Throttled, Unreachable
from tests.flows.conftest import Platform


@dataclass
class Context:
    """As much of the context of an image's step as the failures look at."""

    retry_number: int = 0
    selected_asset_keys: frozenset[AssetKey] = frozenset({AssetKey(["api", "image"])})
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("test"))


def at(retry: int) -> AssetExecutionContext:
    return cast("AssetExecutionContext", Context(retry))


@pytest.mark.parametrize("error", [Unreachable("GitLab is away"), Throttled("wait", 30)])
def test_what_may_go_through_later_is_tried_again(error: Exception) -> None:
    with pytest.raises(RetryRequested) as raised, in_our_words(at(2)):
        raise error
    assert (raised.value.max_retries, raised.value.seconds_to_wait) == (RETRIES, 12)


def test_and_in_the_end_it_is_a_failure_in_its_own_words() -> None:
    with pytest.raises(Failure, match="GitLab is away") as raised, in_our_words(at(RETRIES)):
        raise Unreachable("GitLab is away")
    assert raised.value.allow_retries is False


def test_what_will_not_change_is_not_tried_again() -> None:
    with pytest.raises(Failure, match="token") as raised, in_our_words(at(0)):
        raise Denied("the token has expired")
    assert raised.value.allow_retries is False


def test_a_fault_of_ours_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), in_our_words(at(0)):
        raise ZeroDivisionError


def test_facts_are_shown_by_their_kind_and_empty_ones_not_at_all() -> None:
    shown = described(
        {"a": "x", "b": "https://h/x", "c": 3, "d": True, "e": "", "f": None, "g": 0.5}
    )
    kinds = {name: type(value).__name__ for name, value in shown.items()}
    assert kinds == {
        "a": "TextMetadataValue",
        "b": "UrlMetadataValue",
        "c": "IntMetadataValue",
        "d": "BoolMetadataValue",
        "g": "FloatMetadataValue",
    }


def test_names_become_identifiers() -> None:
    assert identifier("service-14") == "service_14"


def test_at_the_moment_of_effect_things_are_read_again() -> None:
    platform = Platform()

    class Impatient(Recent):
        SECONDS = 0.0

    shared: Any = Recent(platform.catalog, platform.ports)
    assert shared() is shared()
    each: Any = Impatient(platform.catalog, platform.ports)
    assert each() is not each()
