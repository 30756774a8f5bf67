"""What runs put on the audit trail, and what becomes of them where it cannot be written."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from dagster import DagsterInstance

from flowmaster_delivery.defs import shapes
from flowmaster_delivery.model.audit import Action, Channel, Deed, Result
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.policy.audit import verify
from flowmaster_delivery.settings import Settings
from tests.defs.lab import Lab
from tests.defs.test_deployments import CLUSTER, DevLab, failed_rollout, started
from tests.defs.test_promotions import ADMISSION, SAM, SOFIA, approve, release, soak
from tests.fakes.fake_audit import KEY
from tests.flows.conftest import NOW, Platform

__all__ = ["release"]  # a fixture


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> DevLab:
    return started(memory, settings, Platform())


def told(lab: Lab) -> list[tuple[Action, Result, str]]:
    assert verify(lab.audit.read(), KEY).whole
    return [(deed.action, deed.result, deed.who) for deed in lab.audit.deeds]


def only(lab: Lab) -> Deed:
    (deed,) = lab.audit.deeds
    return deed


def test_a_push_that_ships_by_itself_is_one_entry_for_each_service(lab: DevLab) -> None:
    first = lab.digest("api")
    lab.push("api", "web")
    ran = lab.run("dev", ("api", "web"), ship=True, reason="a push")
    assert ran.status == "SUCCESS", ran.words
    assert told(lab) == [(Action.PROMOTION_SHIPPED, Result.DONE, "dana")] * 2
    (deed,) = (deed for deed in lab.audit.deeds if deed.services == ("api",))
    assert (deed.from_digest, deed.to_digest) == (first, lab.digest("api"))
    assert (deed.run_id, deed.via, deed.reason) == (ran.run.run_id, "voucher", "a push")
    assert deed.whence.channel is Channel.RUN
    assert deed.whence.address


def test_a_prognosis_is_no_deed(release: Lab) -> None:
    release.run("production", ("api",), ADMISSION, version="v1.1.0")
    assert told(release) == []


def test_a_refusal_by_gates_tells_all_that_are_closed_and_who_asked(release: Lab) -> None:
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True, reason="Q4")
    assert told(release) == [(Action.PROMOTION_REFUSED, Result.REFUSED, "dana")]
    deed = only(release)
    assert [gate.partition(":")[0] for gate in deed.gates] == ["soak", "approvals"]
    assert (deed.services, deed.version, deed.reason) == (("api",), "v1.1.0", "Q4")
    assert deed.run_id == ran.run.run_id


def admitting(lab: Lab) -> None:
    soak(lab, 30)
    approve(lab, "c2".ljust(40, "0"), SAM, SOFIA)


def test_an_admission_to_production_is_on_the_trail_before_it_counts(release: Lab) -> None:
    admitting(release)
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True, reason="Q4")
    assert told(release) == [(Action.PROMOTION_ADMITTED, Result.ACCEPTED, "dana")]
    assert (only(release).run_id, only(release).reason) == (ran.run.run_id, "Q4")


def test_nothing_is_admitted_to_production_that_is_not_on_the_trail(
    release: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "RETRIES", 0)
    admitting(release)
    release.audit.away = True
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True)
    assert ran.status == "FAILURE"
    assert "the audit trail gives no answer" in ran.words
    assert release.platform.history.admissions("api", "production") == ()


def test_a_promotion_waits_for_the_trail_as_for_everything_else_that_is_away(
    release: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "FIRST_WAIT", 0.01)
    admitting(release)
    release.audit.away = True
    append = release.audit.append

    def back_at_the_second_try(deed: Deed) -> object:
        try:
            return append(deed)
        finally:
            release.audit.away = False

    release.audit.append = back_at_the_second_try  # type: ignore[method-assign,assignment]
    ran = release.run("production", ("api",), ADMISSION, version="v1.1.0", ship=True)
    assert ran.status == "SUCCESS", ran.words
    assert told(release) == [(Action.PROMOTION_ADMITTED, Result.ACCEPTED, "dana")]


def test_who_may_not_ask_is_on_the_trail_with_the_rule(release: Lab) -> None:
    release.run("production", ("api",), ADMISSION, by=None, version="v1.1.0", ship=True)
    assert told(release) == [(Action.PROMOTION_REFUSED, Result.REFUSED, "anonymous")]
    assert "needs to know who asks" in only(release).reason


def test_a_gate_that_closed_after_the_promotion_is_on_the_trail(lab: DevLab) -> None:
    lab.push("api")
    lab.run("dev", ("api",), ("image", "promotion"), ship=True)
    lab.platform.history.record(Hold("h1", "api", "dev", "devi", "it is broken", NOW))
    lab.run("dev", ("api",), CLUSTER, ship=True)
    assert told(lab)[-1] == (Action.PROMOTION_REFUSED, Result.REFUSED, "dana")
    assert "the gate of api in dev is closed: hold" in lab.audit.deeds[-1].reason


def test_a_rollout_that_fails_and_goes_back_by_itself_is_told_step_by_step(lab: DevLab) -> None:
    failed_rollout(lab, "api")
    assert told(lab) == [
        (Action.PROMOTION_FAILED, Result.FAILED, "dana"),
        (Action.ROLLBACK_AUTOMATIC, Result.ACCEPTED, "flowmaster"),
        (Action.HOLD_PLACED, Result.ACCEPTED, "flowmaster"),
        (Action.ROLLBACK_DONE, Result.DONE, "flowmaster"),
    ]
    began = lab.audit.deeds[1]
    assert (began.via, began.details["trigger"]) == ("platform", "rollout")


def test_a_rollback_by_a_person_is_told_from_its_beginning_to_its_end(lab: DevLab) -> None:
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    lab.audit.deeds.clear()
    lab.run("dev", ("api",), CLUSTER, rollback_to="previous", reason="it is slow")
    assert told(lab) == [
        (Action.ROLLBACK_BEGUN, Result.ACCEPTED, "dana"),
        (Action.HOLD_PLACED, Result.ACCEPTED, "dana"),
        (Action.ROLLBACK_DONE, Result.DONE, "dana"),
    ]


def test_a_rollback_to_nowhere_is_on_the_trail(lab: DevLab) -> None:
    lab.run("dev", ("api",), CLUSTER, rollback_to="v9.9.9", reason="it is slow")
    assert told(lab) == [(Action.ROLLBACK_REFUSED, Result.FAILED, "dana")]
    assert only(lab).version == "v9.9.9"


def test_what_has_happened_is_done_although_the_trail_is_away(lab: DevLab) -> None:
    """Neither the delivery of a push nor any rollback waits for it."""
    head = lab.push("api")
    lab.audit.away = True
    assert lab.run("dev", ("api",), ship=True).status == "SUCCESS"
    assert lab.digest("api") == lab.built("api", head)
    assert [deed.action for deed in lab.audit.late] == [Action.PROMOTION_SHIPPED]


def test_a_rollback_by_a_person_that_was_let_through_is_done_although_the_trail_is_away(
    lab: DevLab,
) -> None:
    first = lab.digest("api")
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    lab.audit.away = True
    ran = lab.run("dev", ("api",), CLUSTER, rollback_to="previous", reason="it is slow")
    assert ran.status == "SUCCESS", ran.words
    assert lab.digest("api") == first
    late = [deed.action for deed in lab.audit.late]
    assert late == [Action.ROLLBACK_BEGUN, Action.HOLD_PLACED, Action.ROLLBACK_DONE]


def turns_bad(lab: DevLab) -> None:
    """Three looks in a row that fail, and the rollback that the watch begins."""
    lab.clusters["staging"] = lab.clusters["production"] = lab.dev
    lab.now += timedelta(minutes=10)
    lab.dev.answers["api"] = ProbeResult("pod://api", 503, 0.01)
    for _ in range(3):
        lab.now += timedelta(seconds=20)
        lab.tick("health_watch")
    for thread in threading.enumerate():
        if thread.name == "rollback":
            thread.join()


@pytest.mark.parametrize("away", [False, True])
def test_the_watch_rolls_back_by_itself_whether_the_trail_is_there_or_not(
    lab: DevLab, away: bool
) -> None:
    first = lab.digest("api")
    lab.push("api")
    lab.run("dev", ("api",), ship=True)
    lab.audit.deeds.clear()
    lab.audit.entries.clear()
    lab.audit.away = away
    turns_bad(lab)
    assert lab.digest("api") == first
    deeds = lab.audit.late if away else lab.audit.deeds
    assert [(deed.action, deed.who, deed.whence.channel) for deed in deeds] == [
        (Action.ROLLBACK_AUTOMATIC, "flowmaster", Channel.WATCH),
        (Action.HOLD_PLACED, "flowmaster", Channel.WATCH),
        (Action.ROLLBACK_DONE, "flowmaster", Channel.WATCH),
    ]
