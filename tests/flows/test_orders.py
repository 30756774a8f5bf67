"""Orders: what a run does, and the name of what gave rise to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowmaster_delivery.flows import orders
from flowmaster_delivery.flows.image import Source
from tests.flows.conftest import Platform

COMMIT = "c" * 40


@pytest.fixture
def source(platform: Platform) -> Source:
    return Source(platform.catalog.environment("dev"), platform.repository, COMMIT, "develop")


@pytest.fixture
def release(platform: Platform) -> Source:
    production = platform.catalog.environment("production")
    return Source(production, platform.repository, COMMIT, "v1.0.0", "v1.0.0")


def test_services_behind_a_closed_gate_are_asked_and_not_deployed(source: Source) -> None:
    order = orders.delivery(source, ["web"], ["auth", "api"])
    chapters = {name: [c for s, c in order.assets if s == name] for name in ("web", "api", "auth")}
    assert chapters["web"] == ["image", "promotion", "deployment", "health"]
    assert chapters["api"] == chapters["auth"] == ["image", "promotion"]


def test_the_same_commit_has_the_same_occasion_whoever_notices_it(source: Source) -> None:
    occasions = {orders.delivery(source, names, []).occasion for names in (["api"], ["web"])}
    assert occasions == {"dev:platform:develop@cccccccccccc"}


def test_what_opened_later_is_another_occasion(source: Source) -> None:
    early, late = orders.delivery(source, [], ["api"]), orders.delivery(source, ["api"], [])
    assert early.occasion != late.occasion


def test_the_order_of_names_makes_no_other_occasion(source: Source) -> None:
    one, other = (orders.delivery(source, [], names) for names in (["a", "b"], ["b", "a"]))
    assert one == other


def test_another_commit_ref_environment_or_origin_is_another_occasion(
    source: Source, platform: Platform
) -> None:
    others = (
        replace(source, commit="d" * 40),
        replace(source, ref="other"),
        replace(source, environment=platform.catalog.environment("staging")),
    )
    made = [orders.delivery(s, ["api"], []).occasion for s in (source, *others)]
    made.append(orders.delivery(source, ["api"], [], after="d" * 40).occasion)
    assert len(set(made)) == len(made)


def test_a_candidate_ships_nothing_and_tags_all(release: Source) -> None:
    order = orders.candidate(release, ["api", "web"], ["api"])
    assert set(order.assets) == {("api", "image"), ("web", "image"), ("api", "promotion")}
    assert (order.form["ship"], order.tags[orders.VERSION]) == (False, "v1.0.0")


def test_each_asking_for_a_promotion_is_an_occasion_of_its_own(release: Source) -> None:
    made = {orders.promotion(release, ["api"], reason="go").occasion for _ in range(3)}
    assert len(made) == 3


def test_a_promotion_deploys_nothing_itself(release: Source) -> None:
    order = orders.promotion(release, ["api"], reason="go", partial=True)
    assert {chapter for _, chapter in order.assets} == {"image", "promotion"}
    assert (order.form["ship"], order.form["partial"], order.form["reason"]) == (True, True, "go")


def test_what_a_promotion_run_admitted_is_shipped_once(release: Source) -> None:
    made = [orders.shipping(release, ["api"], "run-7", reason="go") for _ in range(2)]
    assert made[0] == made[1]
    assert {chapter for _, chapter in made[0].assets} == {"deployment", "health"}


def test_a_rollback_names_where_to_and_no_commit(release: Source) -> None:
    order = orders.rollback(release.environment, ["api"], "previous", reason="it is bad")
    assert order.form == {"rollback_to": "previous", "reason": "it is bad"}
    assert orders.COMMIT not in order.tags
