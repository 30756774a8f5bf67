"""What of a record, an order, a submission or a verdict goes on the audit trail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from flowmaster_delivery.model.audit import Action, Channel, Deed, Result, Whence
from flowmaster_delivery.model.canary import CanaryCommand, CanaryOrder
from flowmaster_delivery.model.catalog import GateName
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.image import ImageRecord
from flowmaster_delivery.model.incident import Incident, IncidentState, Moment
from flowmaster_delivery.model.migration import (
    Direction,
    Migration,
    MigrationPhase,
    MigrationRecord,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import (
    Admission,
    Approval,
    ApprovalSource,
    Candidate,
    GateCheck,
    GateState,
    Hold,
    Override,
    ReleaseSeen,
    Verdict,
)
from flowmaster_delivery.model.rollback import Action as Decided
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.rollout import DeploymentRecord, Method, PodProblem
from flowmaster_delivery.model.run import RunOrder
from flowmaster_delivery.model.verification import Verification
from flowmaster_delivery.policy.deeds.asking import of_order, of_submission, of_verdict
from flowmaster_delivery.policy.deeds.records import of_record
from flowmaster_delivery.policy.submission import Submission
from flowmaster_delivery.ports import Record
from tests.builders import digest

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
HERE = Whence(Channel.WATCH, "watch-production-0")

HOLD = Hold("h1", "api", "production", "dana", "5xx", NOW)
OVERRIDE = Override(
    "o1", GateName.SOAK, "production", "platform", "v1.2.3", "c1", "sam", "logins", NOW, LATER
)
APPROVAL = Approval(
    "platform", "v1.2.3", "c1", {"api": digest()}, "sofia", 3, ApprovalSource.COMMAND, NOW
)
CANDIDATE = Candidate(
    "api", "production", "platform", "c1", digest(), "fp", "v1.2.3", version="v1.2.3"
)
ADMISSION = Admission(CANDIDATE, True, "dana", "Q4", NOW, overrides=("soak, by sam",))
DEPLOYMENT = DeploymentRecord(
    "api", "production", Method.ROLLOUT, Outcome.SUCCESS, digest("new"), digest("old"), "fp", "c1",
    NOW, LATER, "dana", reason="Q4", version="v1.2.3", run_id="run-1", token=7,
)  # fmt: skip
INCIDENT = Incident(
    id="i1",
    environment="production",
    services=("api",),
    trigger=Trigger.HEALTH,
    action=Decided.AUTOMATIC,
    state=IncidentState.ROLLING_BACK,
    opened_at=NOW,
    updated_at=LATER,
    reason="3 looks in a row failed",
    why="policy of production",
    from_digest=digest("new"),
    to_digest=digest("old"),
    timeline=(Moment(NOW, "it began"), Moment(LATER, "decided automatic")),
)
NOTHING = Migration("schema", "", 12, 12, MigrationPhase.EXPAND, reversible=False)
WORD = MigrationRecord(NOTHING, "production", Direction.UP, Outcome.SUCCESS, NOW, "sam", "", "ok")
ORDER = CanaryOrder("api", "production", CanaryCommand.ABORT, "dana", "errors", NOW)


def told(record: object) -> Deed:
    found = of_record(record, HERE, "gitlab")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("record", "action", "result", "who"),
    [
        (HOLD, Action.HOLD_PLACED, Result.ACCEPTED, "dana"),
        (
            replace(HOLD, released_by="sam", released_at=LATER),
            Action.HOLD_RELEASED,
            Result.ACCEPTED,
            "sam",
        ),
        (OVERRIDE, Action.OVERRIDE_GIVEN, Result.ACCEPTED, "sam"),
        (APPROVAL, Action.APPROVAL_GIVEN, Result.ACCEPTED, "sofia"),
        (replace(APPROVAL, withdrawn=True), Action.APPROVAL_WITHDRAWN, Result.ACCEPTED, "sofia"),
        (ADMISSION, Action.PROMOTION_ADMITTED, Result.ACCEPTED, "dana"),
        (DEPLOYMENT, Action.PROMOTION_SHIPPED, Result.DONE, "dana"),
        (
            replace(DEPLOYMENT, changed=False),
            Action.PROMOTION_SHIPPED,
            Result.UNCHANGED,
            "dana",
        ),
        (
            replace(DEPLOYMENT, outcome=Outcome.FAILURE),
            Action.PROMOTION_FAILED,
            Result.FAILED,
            "dana",
        ),
        (
            replace(DEPLOYMENT, outcome=Outcome.INCONCLUSIVE),
            Action.PROMOTION_FAILED,
            Result.FAILED,
            "dana",
        ),
        (
            replace(DEPLOYMENT, method=Method.RELEASE),
            Action.PROMOTION_SHIPPED,
            Result.DONE,
            "dana",
        ),
        (replace(DEPLOYMENT, method=Method.ROLLBACK), Action.ROLLBACK_DONE, Result.DONE, "dana"),
        (
            replace(DEPLOYMENT, method=Method.ROLLBACK, outcome=Outcome.ERROR),
            Action.ROLLBACK_FAILED,
            Result.FAILED,
            "dana",
        ),
        (
            replace(DEPLOYMENT, method=Method.ADOPTION, changed=False),
            Action.ADOPTION,
            Result.ACCEPTED,
            "dana",
        ),
        (INCIDENT, Action.ROLLBACK_AUTOMATIC, Result.ACCEPTED, "flowmaster"),
        (
            replace(INCIDENT, decided_by="sam", action=Decided.ASK),
            Action.ROLLBACK_BEGUN,
            Result.ACCEPTED,
            "sam",
        ),
        (
            replace(INCIDENT, state=IncidentState.ASKED),
            Action.INCIDENT_ASKED,
            Result.ACCEPTED,
            "flowmaster",
        ),
        (
            replace(INCIDENT, state=IncidentState.ASKED, decided_by="sam"),
            Action.INCIDENT_APPROVED,
            Result.ACCEPTED,
            "sam",
        ),
        (
            replace(
                INCIDENT, state=IncidentState.LEFT, decided_by="sam", dismissed=(Trigger.HEALTH,)
            ),
            Action.INCIDENT_DISMISSED,
            Result.ACCEPTED,
            "sam",
        ),
        (
            replace(INCIDENT, state=IncidentState.LEFT),
            Action.INCIDENT_LEFT,
            Result.ACCEPTED,
            "flowmaster",
        ),
        (
            replace(INCIDENT, state=IncidentState.FAILED, failed=True),
            Action.INCIDENT_FAILED,
            Result.FAILED,
            "flowmaster",
        ),
        (ORDER, Action.CANARY_ORDERED, Result.ACCEPTED, "dana"),
        (WORD, Action.SCHEMA_SETTLED, Result.ACCEPTED, "sam"),
    ],
)
def test_each_record_is_told_as_what_it_is(
    record: object, action: Action, result: Result, who: str
) -> None:
    deed = told(record)
    assert (deed.action, deed.result, deed.who) == (action, result, who)
    assert deed.via == ("platform" if who == "flowmaster" else "gitlab")
    assert deed.whence == HERE


def test_what_is_only_seen_or_said_by_another_record_is_not_told() -> None:
    seen: list[Any] = [
        replace(INCIDENT, state=IncidentState.ROLLED_BACK),
        replace(WORD, migration=replace(NOTHING, digest=digest())),
        ReleaseSeen("platform", "v1.2.3", "c1", NOW),
    ]
    assert [of_record(record, HERE) for record in seen] == [None] * 3


def test_of_every_kind_of_record_it_is_known_whether_it_is_told() -> None:
    """A new kind of record fails here until somebody has thought of it."""
    told_ = {Admission, Approval, CanaryOrder, DeploymentRecord, Hold, Incident, Override}
    in_part = {MigrationRecord}
    only_seen = {HealthObservation, ImageRecord, ReleaseSeen, Verification}
    assert set(get_args(Record)) == told_ | in_part | only_seen


def test_a_deployment_tells_from_what_to_what_and_by_which_run() -> None:
    deed = told(replace(DEPLOYMENT, problems=(PodProblem("api-1", "c", "OOMKilled", "…"),)))
    assert (deed.from_digest, deed.to_digest) == (digest("old"), digest("new"))
    assert (deed.run_id, deed.version, deed.reason, deed.at) == ("run-1", "v1.2.3", "Q4", LATER)
    assert deed.details["token"] == "7"
    assert deed.details["problems"] == "api-1: OOMKilled"


def test_an_admission_tells_which_gates_it_was_let_past() -> None:
    assert told(ADMISSION).gates == ("soak, by sam",)


def test_an_incident_tells_what_was_said_last_and_why() -> None:
    deed = told(INCIDENT)
    assert deed.details["said"] == "decided automatic"
    assert (deed.details["why"], deed.details["trigger"]) == ("policy of production", "health")


def test_a_released_hold_tells_who_placed_it() -> None:
    released = replace(HOLD, released_by="sam", released_at=LATER, release_reason="mended")
    deed = told(released)
    assert (deed.reason, deed.at) == ("mended", LATER)
    assert deed.details["held"] == "by dana: 5xx"


@pytest.mark.parametrize(
    ("purpose", "action"),
    [
        ("promotion", Action.PROMOTION_ASKED),
        ("rollback", Action.ROLLBACK_ASKED),
        ("delivery", Action.RUN_SUBMITTED),
    ],
)
def test_an_order_is_told_by_its_purpose_with_each_service_once(
    purpose: str, action: Action
) -> None:
    order = RunOrder(
        "production",
        (("api", "image"), ("api", "promotion"), ("web", "promotion")),
        "promote:1",
        {"version": "v1.2.3", "reason": "Q4", "commit": "c1", "partial": True},
        {"flowmaster/purpose": purpose},
    )
    deed = of_order(order, "dana", "gitlab", HERE, NOW)
    assert (deed.action, deed.services, deed.occasion) == (action, ("api", "web"), "promote:1")
    assert (deed.version, deed.reason, deed.details) == ("v1.2.3", "Q4", {"partial": "yes"})


SUBMISSION = Submission(
    "run-1", 1, ("production",), frozenset({("api", "promotion")}), "promote:1",
    ship=True, rollback=False, backfill=False, again=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked_here", "refused", "action", "result"),
    [
        (True, "", Action.PROMOTION_ASKED, Result.ACCEPTED),
        (False, "", Action.RUN_SUBMITTED, Result.ACCEPTED),
        (True, "eve may not", Action.RUN_REFUSED, Result.REFUSED),
        (False, "eve may not", Action.RUN_REFUSED, Result.REFUSED),
    ],
)
def test_a_submission_is_an_asking_where_nobody_has_told_that_before(
    asked_here: bool, refused: str, action: Action, result: Result
) -> None:
    deed = of_submission(
        SUBMISSION, "promotion", "dana", "proxy", HERE, NOW, {"reason": "Q4", "version": "v1.2.3"},
        asked_here=asked_here, refused=refused,
    )  # fmt: skip
    assert (deed.action, deed.result, deed.run_id) == (action, result, "run-1")
    assert deed.reason == (refused or "Q4")
    assert deed.details.get("said") == ("Q4" if refused else None)


def test_a_refusal_by_gates_tells_everyone_that_is_closed() -> None:
    checks = (
        GateCheck(GateName.SOAK, GateState.UNMET, "31 h of 48 h"),
        GateCheck(GateName.FREEZE, GateState.MET, "no freeze"),
        GateCheck(GateName.CI_PASSED, GateState.UNREADABLE, "GitLab is away"),
    )
    deed = of_verdict(Verdict(CANDIDATE, checks, NOW), "dana", "voucher", HERE, "run-1", "Q4")
    assert deed.gates == ("soak: 31 h of 48 h", "ci_passed: GitLab is away")
    assert (deed.action, deed.result) == (Action.PROMOTION_REFUSED, Result.REFUSED)
    assert (deed.to_digest, deed.reason) == (digest(), "Q4")
