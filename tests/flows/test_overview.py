"""Overview: what runs where, and what shipping a version now would do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.intake import look_at_ref
from flowmaster_delivery.flows.overview import Plan, StatusRow, plan, status
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.errors import Refused, UnknownName
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from tests.fakes.fake_registry import digest
from tests.flows.conftest import NOW, Platform

HOUR = timedelta(hours=1)


def _row(platform: Platform, service: str = "api", environment: str = "production") -> StatusRow:
    rows = status(platform.catalog, platform.ports)
    return next(r for r in rows if (r.service, r.environment) == (service, environment))


def _plan(platform: Platform, *services: str, version: str = "v1.1.0") -> Plan:
    production = platform.catalog.environment("production")
    return plan(production, version, services, platform.reading(), NOW)


def _did(
    platform: Platform,
    seed: str,
    outcome: Outcome = Outcome.SUCCESS,
    *,
    method: Method = Method.ROLLOUT,
    hours_ago: float = 1,
    version: str | None = None,
    service: str = "api",
) -> None:
    at = NOW - hours_ago * HOUR
    platform.history.record(
        DeploymentRecord(
            service, "production", method, outcome, digest(seed), None, f"f-{seed}", "c" * 40,
            at, at, "sam", version=version, message=f"{seed} ended",
        )
    )  # fmt: skip


def _release(platform: Platform, version: str, commit: str) -> None:
    platform.forge.tag("platform", version, commit)
    look_at_ref(platform.repository, f"refs/tags/{version}", platform.catalog, platform.ports, NOW)


def test_every_service_has_a_row_in_every_environment(platform: Platform) -> None:
    assert len(status(platform.catalog, platform.ports)) == 9


def test_what_never_ran_is_empty_and_no_error(platform: Platform) -> None:
    row = _row(platform)
    assert (row.version, row.digest, row.health, row.hold, row.since) == (None,) * 5


def test_after_a_failed_rollout_the_old_image_still_counts_and_the_failure_is_noted(
    platform: Platform,
) -> None:
    _did(platform, "one", hours_ago=9, version="v1.0.0")
    _did(platform, "two", Outcome.FAILURE, version="v1.1.0")
    row = _row(platform)
    assert (row.digest, row.version, row.since) == (digest("one"), "v1.0.0", NOW - 9 * HOUR)
    assert row.note == "rollout failure: two ended"


def test_many_failures_do_not_hide_what_runs(platform: Platform) -> None:
    _did(platform, "one", hours_ago=30)
    for hour in range(12, 0, -1):
        _did(platform, "two", Outcome.ERROR, hours_ago=hour)
    assert _row(platform).digest == digest("one")


def test_after_a_rollback_the_old_image_runs_since_the_rollback_and_is_held(
    platform: Platform,
) -> None:
    _did(platform, "one", hours_ago=9, version="v1.0.0")
    _did(platform, "two", hours_ago=5, version="v1.1.0")
    _did(platform, "one", method=Method.ROLLBACK, hours_ago=2, version="v1.0.0")
    platform.history.record(Hold("h1", "api", "production", "sam", "it was bad", NOW))
    row = _row(platform)
    assert (row.digest, row.version) == (digest("one"), "v1.0.0")
    assert row.since == NOW - 2 * HOUR
    assert row.hold is not None
    assert row.hold.reason == "it was bad"


def test_the_same_image_again_does_not_begin_anew(platform: Platform) -> None:
    _did(platform, "one", hours_ago=9)
    _did(platform, "one", hours_ago=1)
    assert _row(platform).since == NOW - 9 * HOUR


def test_a_released_hold_is_none(platform: Platform) -> None:
    hold = Hold("h1", "api", "production", "sam", "wait", NOW - HOUR)
    platform.history.record(hold)
    platform.history.record(replace(hold, released_by="sam", released_at=NOW))
    assert _row(platform).hold is None


def test_health_is_the_last_look(platform: Platform) -> None:
    for state, hours in ((HealthState.HEALTHY, 2), (HealthState.DEGRADED, 1)):
        platform.history.record(
            HealthObservation("api", "production", state, digest("one"), "f", NOW - hours * HOUR)
        )
    assert _row(platform).health is HealthState.DEGRADED


@pytest.fixture
def shipped(platform: Platform) -> Platform:
    """v1.1.0 changes api alone; all of it was in staging."""
    platform.start()
    head = platform.forge.push("platform", "develop", "c2", {"services/api": "api-2"})
    platform.build(head, "api")
    platform.forge.branches["platform"].update({"staging": head, "main": head})
    platform.bring("api", "staging", head)
    _release(platform, "v1.1.0", head)
    return platform


def _ship(platform: Platform, service: str, version: str) -> None:
    release = platform.history.releases("platform")[0]
    platform.history.record(
        DeploymentRecord(
            service, "production", Method.ROLLOUT, Outcome.SUCCESS, release.images[service], None,
            release.fingerprints[service], release.commit, NOW, NOW, "sam", version=version,
        )
    )  # fmt: skip


def test_an_unchanged_service_shows_the_newest_release_that_has_its_digest(
    shipped: Platform,
) -> None:
    assert _row(shipped, "web").version == "v1.1.0"
    _ship(shipped, "api", "v1.1.0")
    assert [_row(shipped, name).version for name in ("api", "web")] == ["v1.1.0", "v1.1.0"]


def test_a_release_that_nobody_shipped_is_not_shown(shipped: Platform) -> None:
    _ship(shipped, "api", "v1.1.0")
    head = shipped.forge.push("platform", "main", "c3", {"README.md": "words"})
    _release(shipped, "v1.2.0", head)
    assert _row(shipped, "web").version == "v1.1.0"


def test_a_plan_says_what_changes_and_what_does_not(shipped: Platform) -> None:
    found = _plan(shipped)
    rows = {row.service: row for row in found.rows}
    assert {name for name, row in rows.items() if row.changes} == {"api"}
    assert (rows["api"].commits, rows["web"].commits) == (1, 0)
    assert rows["api"].candidate_digest != rows["api"].running_digest
    assert not found.open
    assert rows["web"].verdict.open


def test_a_plan_names_every_unmet_reason_at_once(shipped: Platform) -> None:
    shipped.history.record(Hold("h1", "api", "production", "sam", "wait", NOW))
    (row,) = _plan(shipped, "api").rows
    assert {check.gate for check in row.verdict.unmet} >= {
        GateName.SOAK,
        GateName.APPROVALS,
        GateName.HOLD,
    }


def test_a_service_without_an_image_is_told_what_else_it_lacks(shipped: Platform) -> None:
    head = shipped.forge.push("platform", "main", "c3", {"services/web": "web-3"})
    _release(shipped, "v1.2.0", head)
    (row,) = _plan(shipped, "web", version="v1.2.0").rows
    unmet = {check.gate: check for check in row.verdict.unmet}
    assert "has no image in staging; merge it to staging" in unmet[GateName.IMAGE].summary
    assert {GateName.SOAK, GateName.APPROVALS} <= unmet.keys()
    assert (row.candidate_digest, row.changes) == (None, False)


def test_a_plan_of_one_service_asks_about_that_one(shipped: Platform) -> None:
    assert [row.service for row in _plan(shipped, "web").rows] == ["web"]


def test_a_plan_of_unknown_names_is_answered_with_the_nearest(shipped: Platform) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'v1\.1\.0'"):
        _plan(shipped, version="v1.1.1")
    with pytest.raises(UnknownName, match="did you mean 'auth'"):
        _plan(shipped, "autth")


def test_a_branchs_environment_takes_no_releases(shipped: Platform) -> None:
    staging = shipped.catalog.environment("staging")
    with pytest.raises(Refused, match="fed by branch staging and takes no releases"):
        plan(staging, "v1.1.0", (), shipped.reading(), NOW)


def test_a_plan_writes_nothing(shipped: Platform) -> None:
    before = list(shipped.history.records)
    _plan(shipped)
    assert shipped.history.records == before
