"""Intake: what a look at a repository orders, tells and remembers."""

from __future__ import annotations

from dataclasses import replace

from flowmaster_delivery.flows.intake import Look, look, look_at_ref
from flowmaster_delivery.model.promotion import Hold, ReleaseSeen
from flowmaster_delivery.model.source import PipelineState
from flowmaster_delivery.policy.intake import Seen
from tests.flows.conftest import NOW, Platform


def _look(platform: Platform, seen: Seen | None) -> Look:
    return look(platform.repository, platform.catalog, platform.ports, seen, NOW)


def _told(found: Look) -> list[str]:
    return [notice.kind for notice in found.notices]


def test_the_first_look_only_remembers_what_is_there(platform: Platform) -> None:
    platform.start()
    platform.forge.tag("platform", "v1.0.0", "c1")
    found = _look(platform, None)
    assert (found.orders, found.notices) == ((), ())
    assert found.seen.handled == {"dev": "c1".ljust(40, "0"), "staging": "c1".ljust(40, "0")}


def test_a_look_without_news_costs_three_requests_at_most(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    platform.forge.calls.clear()
    assert _look(platform, seen).orders == ()
    assert platform.forge.calls == ["refs platform", "pipelines platform"]


def test_a_push_orders_only_the_services_whose_source_changed(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    (order,) = _look(platform, seen).orders
    assert order.environment == "dev"
    assert order.assets == tuple(
        ("api", chapter) for chapter in ("image", "promotion", "deployment", "health")
    )
    assert order.occasion == f"dev:platform:develop@{head[:12]}"


def test_a_change_of_a_shared_path_orders_those_that_declare_it(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push("platform", "develop", "c2", {"shared/libraries": "s2"})
    platform.build(head, "api", "auth")
    (order,) = _look(platform, seen).orders
    assert {service for service, _ in order.assets} == {"api", "auth"}


def test_a_push_that_touches_no_service_orders_nothing_and_is_dealt_with(
    platform: Platform,
) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push("platform", "develop", "c2", {"README.md": "words"})
    found = _look(platform, seen)
    assert found.orders == ()
    assert found.seen.handled["dev"] == head


def test_nothing_is_ordered_while_the_pipeline_runs(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push(
        "platform", "develop", "c2", {"services/api": "api-2"}, ci=PipelineState.RUNNING
    )
    waiting = _look(platform, seen)
    assert waiting.orders == ()
    assert waiting.seen.handled["dev"] != head
    platform.build(head, "api")
    platform.forge.run_ci("platform", "develop", head, PipelineState.SUCCESS)
    assert len(_look(platform, waiting.seen).orders) == 1


def test_a_failed_pipeline_is_told_once_and_orders_nothing(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    platform.forge.push(
        "platform", "develop", "c2", {"services/api": "api-2"}, ci=PipelineState.FAILED
    )
    first = _look(platform, seen)
    assert (first.orders, _told(first)) == ((), ["ci_failed"])
    assert _told(_look(platform, first.seen)) == []


def test_a_failed_pipeline_that_is_run_again_and_passes_is_ordered(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push(
        "platform", "develop", "c2", {"services/api": "api-2"}, ci=PipelineState.FAILED
    )
    failed = _look(platform, seen)
    platform.build(head, "api")
    platform.forge.run_ci("platform", "develop", head, PipelineState.SUCCESS)
    assert len(_look(platform, failed.seen).orders) == 1


def test_a_service_without_a_built_image_is_only_asked_and_the_commit_stays_open(
    platform: Platform,
) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push(
        "platform", "develop", "c2", {"services/api": "api-2", "services/web": "web-2"}
    )
    platform.build(head, "web")
    found = _look(platform, seen)
    (order,) = found.orders
    assert order.assets.count(("api", "deployment")) == 0
    assert order.assets.count(("web", "deployment")) == 1
    assert order.occasion.endswith("/without:api")
    assert found.seen.handled["dev"] != head


def test_staging_waits_until_dev_is_healthy_and_then_goes_by_itself(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.forge.branches["platform"]["staging"] = head
    early = _look(platform, seen)
    staging = next(order for order in early.orders if order.environment == "staging")
    assert ("api", "deployment") not in staging.assets
    platform.bring("api", "dev", head)
    later = _look(platform, early.seen)
    (again,) = later.orders
    assert ("api", "deployment") in again.assets
    assert again.occasion != staging.occasion
    assert later.seen.handled["staging"] != head
    platform.bring("api", "staging", head)
    assert _look(platform, later.seen).seen.handled["staging"] == head


def test_a_held_service_is_asked_and_not_deployed(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    platform.history.record(Hold("h1", "api", "dev", "sam", "look at it first", NOW))
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    (order,) = _look(platform, seen).orders
    assert order.assets == (("api", "image"), ("api", "promotion"))


def test_a_version_tag_becomes_a_release_and_one_order_for_its_prognosis(
    platform: Platform,
) -> None:
    commit = platform.start()
    seen = _look(platform, None).seen
    platform.forge.tag("platform", "v1.1.0", commit)
    found = _look(platform, seen)
    (order,) = found.orders
    assert (order.environment, order.form["ship"]) == ("production", False)
    assert {service for service, _ in order.assets} == {"api", "auth", "web"}
    (release,) = platform.history.releases("platform")
    assert set(release.images) == {"api", "auth", "web"}
    assert "tag_new" in _told(found)


def test_a_moved_tag_is_named_and_is_a_new_candidate(platform: Platform) -> None:
    commit = platform.start()
    platform.forge.tag("platform", "v1.1.0", commit)
    seen = _look(platform, None).seen
    other = platform.forge.push("platform", "main", "c9", {"services/api": "api-9"})
    platform.forge.tag("platform", "v1.1.0", other)
    found = _look(platform, seen)
    assert "tag_moved" in _told(found)
    assert found.orders[-1].occasion == f"production:platform:v1.1.0@{other[:12]}"


def test_a_tag_on_an_older_commit_is_noticed_though_it_sorts_last(platform: Platform) -> None:
    old = platform.start()
    platform.forge.push("platform", "main", "c5", {"README.md": "later"})
    seen = _look(platform, None).seen
    platform.forge.tag("platform", "v0.9.0", old)
    found = _look(platform, seen)
    assert any("an older commit" in notice.text for notice in found.notices)
    assert len(found.orders) == 1


def test_a_tag_that_is_no_version_is_said_to_be_none(platform: Platform) -> None:
    commit = platform.start()
    seen = _look(platform, None).seen
    platform.forge.tag("platform", "1.2.3-final", commit)
    found = _look(platform, seen)
    assert (found.orders, _told(found)) == ((), ["tag_ignored"])


def test_a_force_push_is_named(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    gone = replace(seen, branches={**seen.branches, "develop": "f" * 40})
    assert "force_push" in _told(_look(platform, gone))


def test_a_deleted_branch_is_named_and_orders_nothing(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    del platform.forge.branches["platform"]["develop"]
    found = _look(platform, seen)
    assert (found.orders, _told(found)) == ((), ["branch_deleted"])


def test_a_hint_and_a_look_lead_to_the_same_occasion(platform: Platform) -> None:
    platform.start()
    seen = _look(platform, None).seen
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    hinted = look_at_ref(
        platform.repository, "refs/heads/develop", platform.catalog, platform.ports, NOW
    )
    looked = _look(platform, seen)
    assert [o.occasion for o in hinted.orders] == [o.occasion for o in looked.orders]


def test_a_hint_about_a_branch_that_feeds_nothing_leads_to_nothing(platform: Platform) -> None:
    platform.start()
    found = look_at_ref(
        platform.repository, "refs/heads/feature/x", platform.catalog, platform.ports, NOW
    )
    assert found.orders == ()


def test_a_hint_about_a_tag_that_is_not_there_leads_to_nothing(platform: Platform) -> None:
    platform.start()
    found = look_at_ref(
        platform.repository, "refs/tags/v9.9.9", platform.catalog, platform.ports, NOW
    )
    assert found.orders == ()
    assert not [r for r in platform.history.records if isinstance(r, ReleaseSeen)]


def test_what_was_seen_survives_being_written_down(platform: Platform) -> None:
    platform.start()
    platform.forge.tag("platform", "v1.0.0", "c1")
    seen = _look(platform, None).seen
    assert Seen.from_json(seen.to_json()) == seen
