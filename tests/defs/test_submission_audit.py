"""What the coordinator puts on the audit trail, in the database of the instance itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from flowmaster_delivery.defs.coordinator import DeliveryCoordinator
from flowmaster_delivery.model.audit import fields_of
from flowmaster_delivery.policy.audit import verify
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import audit_on
from tests.defs.conftest import SEAL_KEY
from tests.defs.test_coordinator import granted, submit, words
from tests.fakes.fake_audit import FakeAudit

PROMOTION: dict[str, Any] = {
    "chapters": ("image", "promotion"),
    "form": {"ship": True, "version": "v1.2.3", "reason": "Q4"},
}


def over_http(caller: str | None, *hops: str, peer: str = "127.0.0.1") -> Any:
    """The workspace of a request as the webserver has it: with the header of the proxy beside."""
    named = [(b"x-forwarded-user", caller.encode())] if caller else []
    raw = [*named, *((b"x-forwarded-for", hop.encode()) for hop in hops)]
    scope = {"type": "http", "headers": Headers(raw=raw).raw, "client": (peer, 4711)}
    return SimpleNamespace(source=HTTPConnection(scope))


def trail(instance: DagsterInstance, settings: Settings) -> list[Mapping[str, Any]]:
    entries = audit_on(instance, settings).read()
    assert verify(entries, SEAL_KEY).whole
    return [fields_of(entry) for entry in entries]


def test_what_somebody_asks_for_in_the_ui_is_told_with_who_what_why_and_from_where(
    instance: DagsterInstance, settings: Settings
) -> None:
    by = over_http("dana", "203.0.113.9")
    run = submit(instance, "production", by=by, **PROMOTION)
    (said,) = trail(instance, settings)
    assert (said["action"], said["result"]) == ("promotion_asked", "accepted")
    assert (said["who"], said["via"]) == ("dana", "proxy")
    assert (said["channel"], said["address"]) == ("ui", "203.0.113.9")
    assert (said["environment"], said["services"]) == ("production", ["service-0"])
    assert (said["version"], said["reason"], said["run_id"]) == ("v1.2.3", "Q4", run.run_id)


def test_a_rollback_and_an_order_to_a_canary_are_told_too(
    instance: DagsterInstance, settings: Settings
) -> None:
    for form in ({"rollback_to": "previous"}, {"canary": "abort"}):
        by = over_http("dana")
        submit(instance, "production", chapters=("deployment",), form=form, by=by)
    rollback, canary = trail(instance, settings)
    assert (rollback["action"], rollback["version"]) == ("rollback_asked", "previous")
    assert (canary["action"], canary["details"]["purpose"]) == ("run_submitted", "canary")


def test_what_was_asked_for_elsewhere_is_found_by_its_occasion(
    instance: DagsterInstance, settings: Settings
) -> None:
    """The server's own entry tells who asked from where; this one tells the run."""
    tags = granted("promote:1", "production")
    run = submit(instance, "production", by=over_http("proxy-says"), tags=tags, **PROMOTION)
    (said,) = trail(instance, settings)
    assert (said["action"], said["channel"], said["via"]) == ("run_submitted", "api", "grant")
    assert (said["occasion"], said["run_id"]) == ("promote:1", run.run_id)


def test_what_a_sensor_submits_is_told_as_that(
    instance: DagsterInstance, settings: Settings
) -> None:
    submit(instance, "production", tags=granted("ship:1", "production"))
    (said,) = trail(instance, settings)
    assert (said["action"], said["channel"], said["who"]) == ("run_submitted", "sensor", "intake")
    assert said["address"]


def test_where_nobody_must_be_asked_a_run_is_no_entry(
    instance: DagsterInstance, settings: Settings
) -> None:
    """Its deployments are."""
    submit(instance, "dev", tags=granted("o1"))
    assert trail(instance, settings) == []


@pytest.mark.parametrize(
    ("environment", "by", "tags", "who", "why"),
    [
        ("production", over_http(None, "203.0.113.9"), {}, "anonymous", "header"),
        ("production", over_http("dana"), {"dagster/backfill": "b1"}, "dana", "no backfills"),
        ("nowhere", over_http("dana"), {}, "dana", "there is no environment"),
        ("production", None, {}, "anonymous", "nobody vouches"),
    ],
)
def test_every_refusal_is_told_with_its_rule(
    instance: DagsterInstance,
    settings: Settings,
    environment: str,
    by: object,
    tags: Mapping[str, str],
    who: str,
    why: str,
) -> None:
    run = submit(instance, environment, by=by, tags=tags)
    assert run.status is DagsterRunStatus.FAILURE
    (said,) = trail(instance, settings)
    assert (said["action"], said["result"], said["who"]) == ("run_refused", "refused", who)
    assert why in said["reason"]
    assert (said["environment"], said["run_id"]) == (environment, run.run_id)


def away(instance: DagsterInstance) -> FakeAudit:
    """The coordinator's trail gives no answer from here on."""
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, DeliveryCoordinator)
    made = FakeAudit(away=True)
    coordinator.__dict__["trail"] = made
    return made


def test_what_a_person_wants_does_not_start_where_the_trail_cannot_be_written(
    instance: DagsterInstance,
) -> None:
    away(instance)
    by = over_http("dana")
    asked: list[DagsterRun] = [
        submit(instance, "production", by=by, **PROMOTION),
        submit(instance, "production", by=by, form={"rollback_to": "previous"}),
        submit(instance, "production", by=by, tags=granted("promote:1", "production")),
    ]
    for run in asked:
        assert run.status is DagsterRunStatus.FAILURE
        assert "not on the audit trail, so ask again later" in words(instance, run)


def test_what_the_platform_carries_on_starts_whatever_becomes_of_the_trail(
    instance: DagsterInstance,
) -> None:
    """It was asked for, and is on the trail since then."""
    first = submit(instance, "production", tags=granted("o1", "production"))
    instance.report_run_failed(first, "its process died")
    late = away(instance).late
    again = submit(instance, "production", tags=first.tags, parent=first.run_id)
    shipped = submit(instance, "production", tags=granted("ship:1", "production"))
    delivered = submit(instance, "dev", tags=granted("o2"))
    states = {run.status for run in (again, shipped, delivered)}
    assert states == {DagsterRunStatus.QUEUED}
    assert [deed.run_id for deed in late] == [again.run_id, shipped.run_id]


def test_a_refusal_stands_whatever_becomes_of_the_trail(instance: DagsterInstance) -> None:
    late = away(instance).late
    run = submit(instance, "production", by=over_http(None))
    assert run.status is DagsterRunStatus.FAILURE
    assert [deed.run_id for deed in late] == [run.run_id]
