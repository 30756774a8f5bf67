"""Occasions: none is lost, none runs twice, whatever comes in whichever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.approval import approve
from flowmaster_delivery.flows.intake import Look, look, look_at_ref
from flowmaster_delivery.model.catalog import GateName, Repository
from flowmaster_delivery.model.errors import Denied, NotFound
from flowmaster_delivery.model.image import ImageRecord, RegistryImage
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.rollout import (
    Method,
)
from flowmaster_delivery.model.source import Job, Person, PipelineState
from flowmaster_delivery.policy.intake import Seen
from tests.flows.conftest import NOW, Platform, an_environment

SAM = Person(2, "sam")


def _look(platform: Platform, seen: Seen | None) -> Look:
    return look(platform.repository, platform.catalog, platform.ports, seen, NOW)


def _hint(platform: Platform, ref: str) -> Look:
    return look_at_ref(platform.repository, ref, platform.catalog, platform.ports, NOW)


def _push(platform: Platform, commit: str, *services: str, branch: str = "develop") -> str:
    files = {f"services/{name}": f"{name}-{commit}" for name in services}
    head = platform.forge.push("platform", branch, commit, files)
    platform.build(head, *services)
    return head


@pytest.fixture
def seen(platform: Platform) -> Seen:
    platform.start()
    return _look(platform, None).seen


def test_a_look_during_the_run_that_a_hint_began_orders_the_same_occasion(
    platform: Platform, seen: Seen
) -> None:
    head = _push(platform, "c2", "api", "web")
    hinted = _hint(platform, "refs/heads/develop").orders
    platform.bring("api", "dev", head)
    looked = _look(platform, seen)
    assert [o.occasion for o in looked.orders] == [o.occasion for o in hinted]
    assert looked.seen.handled["dev"] != head


def test_a_look_after_that_run_orders_nothing_and_is_done_with_it(
    platform: Platform, seen: Seen
) -> None:
    head = _push(platform, "c2", "api")
    platform.bring("api", "dev", head)
    looked = _look(platform, seen)
    assert (looked.orders, looked.seen.handled["dev"]) == ((), head)
    assert _hint(platform, "refs/heads/develop").orders == ()


def test_a_head_that_moves_while_a_run_runs_takes_its_services_along(
    platform: Platform, seen: Seen
) -> None:
    _push(platform, "c2", "api")
    first = _look(platform, seen)
    _push(platform, "c3", "web")
    (order,) = _look(platform, first.seen).orders
    assert {service for service, _ in order.assets} == {"api", "web"}


def test_a_branch_that_is_put_back_to_an_older_commit_is_delivered_again(
    platform: Platform, seen: Seen
) -> None:
    second = _push(platform, "c2", "api")
    (order,) = _look(platform, seen).orders
    platform.bring("api", "dev", second)
    third = _push(platform, "c3", "api")
    platform.bring("api", "dev", _newer(platform, third))
    platform.forge.branches["platform"]["develop"] = second
    last = replace(seen, branches={"develop": third}, handled={**seen.handled, "dev": third})
    found = _look(platform, last)
    (again,) = found.orders
    assert again.occasion == f"{order.occasion}/after:{third[:12]}"
    assert again.occasion == _hint(platform, "refs/heads/develop").orders[0].occasion
    assert "force_push" in {notice.kind for notice in found.notices}


def _newer(platform: Platform, commit: str) -> str:
    """What is on record so far was an hour earlier than what comes now."""
    platform.history.records = [
        replace(r, at=r.at - timedelta(hours=1)) if isinstance(r, ImageRecord) else r
        for r in platform.history.records
    ]
    return commit


def test_put_back_and_interrupted_it_is_still_delivered(platform: Platform, seen: Seen) -> None:
    first = platform.forge.branches["platform"]["develop"]
    second = _push(platform, "c2", "api")
    platform.bring("api", "dev", second)
    platform.forge.branches["platform"]["develop"] = first
    image = platform.history.images("api", "dev")[-1]
    platform.history.record(replace(image, at=NOW))
    found = _look(platform, replace(seen, handled={**seen.handled, "dev": second}))
    assert [service for service, _ in found.orders[0].assets][:1] == ["api"]


def test_what_was_rolled_back_from_is_not_brought_again_by_an_unrelated_push(
    platform: Platform, seen: Seen
) -> None:
    good = platform.history.deployments("api", "dev")[0]
    bad = _push(platform, "c2", "api")
    platform.bring("api", "dev", bad)
    platform.history.record(replace(good, method=Method.ROLLBACK))
    _push(platform, "c3", "web")
    (order,) = _look(platform, seen).orders
    assert {service for service, _ in order.assets} == {"web"}


def test_what_failed_with_this_source_is_not_tried_at_every_push(
    platform: Platform, seen: Seen
) -> None:
    head = _push(platform, "c2", "api")
    platform.bring("api", "dev", head)
    done = platform.history.deployments("api", "dev")[0]
    platform.history.records.remove(done)
    platform.history.record(replace(done, outcome=Outcome.FAILURE))
    _push(platform, "c3", "web")
    (order,) = _look(platform, seen).orders
    assert {service for service, _ in order.assets} == {"web"}


def test_a_pipeline_behind_a_hundred_newer_ones_is_still_found(
    platform: Platform, seen: Seen
) -> None:
    platform.history.record(Hold("h1", "api", "dev", "sam", "wait", NOW))
    head = _push(platform, "c2", "api")
    own = platform.forge.made_pipelines["platform"]
    others = [replace(own[0], id=1000 + n, commit=f"{n:040}", ref=f"f{n}") for n in range(100)]
    ports = replace(platform.ports, forge=_ShortSighted(platform, others))  # type: ignore[arg-type]
    found = look(platform.repository, platform.catalog, ports, seen, NOW)
    assert [order.form["commit"] for order in found.orders] == [head]


class _ShortSighted:
    """A forge whose newest pipelines are all of other commits."""

    def __init__(self, platform: Platform, newest: list[object]) -> None:
        self._forge, self._newest = platform.forge, newest

    def pipelines(self, repository: Repository) -> tuple[object, ...]:
        return tuple(self._newest)

    def __getattr__(self, name: str) -> object:
        return getattr(self._forge, name)


def test_an_environment_that_was_added_begins_with_what_is_there(
    platform: Platform, seen: Seen
) -> None:
    environments = {**platform.catalog.environments, "qa": an_environment("qa")}
    platform.catalog = replace(platform.catalog, environments=environments)
    head = platform.forge.branches["platform"]["develop"]
    platform.forge.branches["platform"]["qa"] = head
    first = _look(platform, replace(seen, branches={**seen.branches, "qa": head}))
    assert (first.orders, first.seen.handled["qa"]) == ((), head)
    _push(platform, "c2", "api", branch="qa")
    (order,) = _look(platform, first.seen).orders
    assert order.environment == "qa"


def test_a_branch_that_comes_later_feeds_its_environment(platform: Platform) -> None:
    platform.start()
    head = platform.forge.branches["platform"].pop("staging")
    seen = _look(platform, None).seen
    running = platform.forge.push(
        "platform", "develop", "c2", {"services/api": "api-2"}, ci=PipelineState.RUNNING
    )
    platform.forge.branches["platform"]["staging"] = running
    waiting = _look(platform, seen)
    assert waiting.orders == ()
    platform.build(running, "api")
    platform.bring("api", "dev", running)
    platform.forge.run_ci("platform", "staging", running, PipelineState.SUCCESS)
    orders = {o.environment: o for o in _look(platform, waiting.seen).orders}
    assert ("api", "deployment") in orders["staging"].assets
    assert head != running


def test_a_repository_that_was_added_begins_with_what_is_there(platform: Platform) -> None:
    other = Repository("other", "group/other")
    platform.forge.push("other", "develop", "d1", {"a": "1"})
    found = look(other, platform.catalog, platform.ports, None, NOW)
    assert found.orders == ()
    assert found.seen.branches == {"develop": "d1".ljust(40, "0")}


def test_a_second_writer_is_named_once_while_the_gate_is_closed(
    platform: Platform, seen: Seen
) -> None:
    platform.history.record(Hold("h1", "api", "dev", "sam", "wait", NOW))
    _push(platform, "c2", "api")
    pipeline = platform.forge.made_pipelines["platform"][0]
    deploys = Job("deploy:dev", "deploy", PipelineState.RUNNING)
    platform.forge.made_jobs[pipeline.id] += (deploys,)
    first = _look(platform, seen)
    second = _look(platform, first.seen)
    assert [n.kind for n in first.notices] == ["second_writer"]
    assert second.notices == ()
    assert [o.occasion for o in second.orders] == [o.occasion for o in first.orders]


def test_a_hold_that_is_released_lets_the_commit_go(platform: Platform, seen: Seen) -> None:
    hold = Hold("h1", "api", "dev", "sam", "wait", NOW)
    platform.history.record(hold)
    _push(platform, "c2", "api")
    held = _look(platform, seen)
    platform.history.record(replace(hold, released_by="sam", released_at=NOW))
    (order,) = _look(platform, held.seen).orders
    assert ("api", "deployment") in order.assets


def test_one_image_that_may_not_be_read_does_not_hold_up_the_other_services(
    platform: Platform, seen: Seen
) -> None:
    _push(platform, "c2", "api", "web")
    read = platform.registry.digest_of

    def guarded(image: str, tag: str) -> RegistryImage | None:
        if image.endswith("/api"):
            raise Denied("the registry denies group/platform/api; renew its token")
        return read(image, tag)

    platform.registry.digest_of = guarded  # type: ignore[method-assign]
    (order,) = _look(platform, seen).orders
    assert ("web", "deployment") in order.assets
    assert ("api", "deployment") not in order.assets


def test_a_head_that_gitlab_has_cleared_away_was_forced_away(
    platform: Platform, seen: Seen
) -> None:
    def cleared(repository: Repository, ref: str, commit: str) -> bool:
        raise NotFound(f"{repository.name} has no commit {commit}")

    platform.forge.contains = cleared  # type: ignore[method-assign]
    _push(platform, "c2", "api")
    found = _look(platform, seen)
    assert "force_push" in {notice.kind for notice in found.notices}
    assert len(found.orders) == 1


def test_a_tag_that_comes_before_stagings_images_has_them_in_the_end(
    platform: Platform, seen: Seen
) -> None:
    head = _push(platform, "c2", "api")
    platform.forge.branches["platform"].update({"staging": head, "main": head})
    platform.forge.tag("platform", "v1.1.0", head)
    _hint(platform, "refs/tags/v1.1.0")
    assert set(platform.history.releases("platform")[0].images) == {"auth", "web"}
    platform.bring("api", "staging", head)
    platform.forge.groups["group/seniors"] = {"sam"}
    production = platform.catalog.environment("production")
    given = approve(production, "v1.1.0", SAM, platform.catalog, platform.ports, NOW)
    api = platform.history.images("api", "staging")[0]
    assert given.digests["api"] == api.digest
    assert set(platform.history.releases("platform")[0].images) == {"api", "auth", "web"}


def test_a_manifest_never_changes_a_digest_that_it_has(platform: Platform, seen: Seen) -> None:
    head = platform.forge.branches["platform"]["develop"]
    platform.forge.tag("platform", "v1.0.0", head)
    _hint(platform, "refs/tags/v1.0.0")
    before = platform.history.releases("platform")
    platform.build(head, "api")
    platform.bring("api", "staging", head)
    _hint(platform, "refs/tags/v1.0.0")
    assert platform.history.releases("platform") == before


def test_a_release_whose_services_partly_run_asks_about_the_others(
    platform: Platform, seen: Seen
) -> None:
    head = _push(platform, "c2", "api")
    platform.forge.branches["platform"].update({"staging": head, "main": head})
    platform.bring("api", "staging", head)
    platform.forge.tag("platform", "v1.1.0", head)
    (order,) = _hint(platform, "refs/tags/v1.1.0").orders
    assert [s for s, chapter in order.assets if chapter == "promotion"] == ["api"]
    assert [s for s, chapter in order.assets if chapter == "image"] == ["api", "auth", "web"]


def test_an_expired_token_closes_its_gates_and_hides_no_other_reason(platform: Platform) -> None:
    from flowmaster_delivery.flows.promotion import evaluate
    from flowmaster_delivery.model.promotion import Candidate, GateState

    platform.start()
    platform.forge.broken["platform"] = Denied("GitLab denies our token (401); renew it")
    candidate = Candidate(
        "api", "production", "platform", "c9".ljust(40, "0"), "sha256:new", "f", "v9.0.0", "v9.0.0"
    )
    checks = {c.gate: c for c in evaluate(candidate, platform.reading(), NOW).checks}
    for gate in (GateName.CI_PASSED, GateName.APPROVALS, GateName.TAG_UNMOVED):
        assert checks[gate].state is GateState.UNREADABLE
        assert "renew it" in checks[gate].summary
    assert checks[GateName.SOAK].state is GateState.UNMET
