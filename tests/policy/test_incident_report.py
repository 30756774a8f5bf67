"""The report of an incident tells its whole story, and ticks nothing that was not done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowmaster_delivery.model.analysis import Figure, Judgement, Limit, Measurement
from flowmaster_delivery.model.incident import Incident, IncidentState, Moment
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.policy.incident_report import report, title
from flowmaster_delivery.policy.markdown import escaped
from tests.builders import NOON, a_commit

WINDOW = timedelta(minutes=5)
MEASURED = Measurement(Figure.ERROR_RATE, 'sum(rate(x{a=~"b|c"}[5m]))', WINDOW, NOON, 0.08, 1200)
LIMIT = Limit(Figure.ERROR_RATE, 0.05, WINDOW)
JUDGED = Judgement(MEASURED, LIMIT, Outcome.FAILURE, "8 % failed", 0.05)
SLOW = Measurement(Figure.LATENCY_P95, "q", WINDOW, NOON, 0.9, 500)
INCIDENT = Incident(
    id="1a2b3c4d",
    environment="production",
    services=("api",),
    trigger=Trigger.ERROR_RATE,
    action=Action.AUTOMATIC,
    state=IncidentState.ROLLED_BACK,
    opened_at=NOON,
    updated_at=NOON,
    reason="8 % of 1200 requests failed in 5 min, 5 % may",
    why="policy of production: error_rate rolls back by itself",
    from_digest="sha256:bad",
    from_version="v1.2.3",
    from_commit="c" * 40,
    to_digest="sha256:good",
    to_version="v1.2.2",
    judgements=(JUDGED,),
    evidence={"replicas": "2 of 2 available"},
    timeline=(Moment(NOON, "decided"), Moment(NOON + timedelta(seconds=3), "all of it runs")),
    told=("team:platform",),
    commits=(a_commit(),),
    hold_id="1a2b3c4d",
)


def ticked(text: str) -> set[str]:
    return {line[6:] for line in text.splitlines() if line.startswith("- [x] ")}


def open_items(text: str) -> set[str]:
    return {line[6:] for line in text.splitlines() if line.startswith("- [ ] ")}


def test_the_story_is_whole() -> None:
    text = report(INCIDENT)
    assert text.startswith("# Incident 1a2b3c4d: api in production was rolled back\n")
    assert "- 2026-03-02 12:00:03 UTC: all of it runs" in text
    assert "| from | v1.2.3 | cccccccc | sha256:bad |" in text
    assert "| to | v1.2.2 |  | sha256:good |" in text
    assert "flowmaster hold release 1a2b3c4d" in text
    assert "- team:platform" in text
    assert "feat: something (dana)" in text


def test_every_judgement_can_be_judged_again() -> None:
    (row,) = [line for line in report(INCIDENT).splitlines() if line.startswith("| error_rate")]
    for part in ("failure", "8 %", "5 %", "1200", "5 min", "12:00:00"):
        assert part in row
    assert '- `sum(rate(x{a=~"b|c"}' in report(INCIDENT)


def test_a_canary_that_was_taken_away_is_called_that() -> None:
    canary = replace(INCIDENT, trigger=Trigger.CANARY, state=IncidentState.ROLLED_BACK)
    assert title(canary).startswith("the canary of api in production was taken away")


def test_a_baseline_is_shown_where_there_was_one() -> None:
    baseline = replace(SLOW, value=0.3)
    judged = Judgement(SLOW, LIMIT, Outcome.FAILURE, "slow", 0.6, baseline)
    (row,) = [
        line
        for line in report(replace(INCIDENT, judgements=(judged,))).splitlines()
        if line.startswith("| latency_p95")
    ]
    assert [cell.strip() for cell in row.split("|")[3:6]] == ["0.900 s", "0.600 s", "0.300 s"]


def test_what_the_platform_did_is_ticked_and_the_rest_is_left_to_people() -> None:
    text = report(INCIDENT)
    assert {
        "Determine rollback target version",
        "Verify rollback target is stable",
        "Notify team and stakeholders",
        "Capture logs and metrics from failed deployment",
        "Execute rollback procedure",
        "Verify health checks pass",
        "Create incident report",
    } <= ticked(text)
    assert {"Identify root cause of failure", "Create fix for failed deployment"} <= open_items(
        text
    )


def test_a_rollback_that_failed_or_was_refused_is_not_said_to_be_carried_out() -> None:
    text = report(replace(INCIDENT, state=IncidentState.FAILED))
    assert {"Execute rollback procedure", "Verify health checks pass"} <= open_items(text)
    assert "## What was rolled back" not in text


def test_a_version_that_a_person_named_is_not_said_to_be_stable() -> None:
    text = report(replace(INCIDENT, trigger=Trigger.PERSON))
    assert "Verify rollback target is stable" in open_items(text)


def test_who_is_asked_is_told_how_to_decide_and_by_when() -> None:
    asked = replace(INCIDENT, state=IncidentState.ASKED, deadline=NOON, told=(), hold_id="")
    text = report(asked)
    assert "by 2026-03-02 12:00:00 UTC: `flowmaster incident approve 1a2b3c4d`" in text
    assert "Notify team and stakeholders" in open_items(text)
    assert "Somebody must decide" not in report(replace(asked, decided_by="sofia"))


def test_without_evidence_there_is_no_empty_table() -> None:
    bare = replace(INCIDENT, judgements=(), evidence={}, commits=(), told=())
    text = report(bare)
    assert "## Evidence" not in text
    assert "## Commits" not in text
    assert "Capture logs and metrics from failed deployment" in open_items(text)


def test_more_commits_than_can_be_read_are_counted() -> None:
    assert "- and 7 more" in report(replace(INCIDENT, commits=(a_commit(),) * 57))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", "a \\| b"),
        ("two\nlines", "two lines"),
        ("[x](http://evil)", "\\[x\\](http://evil)"),
        ("<img src=x>", "\\<img src=x\\>"),
        ("\x1b[31mred", "\\[31mred"),
    ],
)
def test_what_others_wrote_is_text_and_nothing_else(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize("state", IncidentState)
def test_every_state_has_its_words(state: IncidentState) -> None:
    assert title(replace(INCIDENT, state=state)).startswith("api in production ")
