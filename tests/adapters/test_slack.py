"""Telling people: Slack, the log, and several at once. Nothing of it ever raises."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from flowmaster_delivery.adapters.notifiers import LogNotifier, SeveralNotifiers
from flowmaster_delivery.adapters.slack import SlackNotifier, message
from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.model.events import Event, Severity
from flowmaster_delivery.redaction import learn
from tests.fakes.far_end import FarEnd, Reply

HOOK = "/services/T000/B000/s3cr3t"


def event(**more: object) -> Event:
    about: dict[str, object] = {
        "kind": "deployment_failed",
        "title": "auth-service did not get ready",
        "text": "CrashLoopBackOff: exit code 1",
        "severity": Severity.CRITICAL,
        "at": datetime(2026, 11, 23, 6, tzinfo=UTC),
        "service": "auth-service",
        "environment": "production",
        "links": (("run", "https://dagster/runs/1?a=b&c=d"),),
        **more,
    }
    return Event(**about)  # type: ignore[arg-type]


def test_slack_is_told_with_the_place_and_the_links(far_end: FarEnd) -> None:
    far_end.say(HOOK, Reply(b"ok"), method="POST")
    SlackNotifier(lambda: f"{far_end.url}{HOOK}").tell(event())
    body = json.loads(far_end.asked[0].body)
    assert body["text"] == "auth-service did not get ready: CrashLoopBackOff: exit code 1"
    section, context = body["blocks"]
    assert "<https://dagster/runs/1?a=b&amp;c=d|run>" in section["text"]["text"]
    assert context["elements"][0]["text"] == "production · auth-service"


def test_a_commits_title_calls_nobody_and_links_nowhere() -> None:
    told = json.dumps(message(event(text="<!channel> <http://evil|click> & co")))
    assert "<!channel>" not in told
    assert "<http://evil" not in told


def test_no_secret_is_told_to_anybody() -> None:
    learn("gitlab_token", "planted-0123456789")
    body = json.dumps(message(event(title="a planted-0123456789", text="b planted-0123456789")))
    assert "planted" not in body
    assert json.loads(body)["text"] == "a •••: b •••"


def test_a_long_text_is_cut_to_what_slack_takes() -> None:
    blocks = message(event(text="x" * 10_000))["blocks"]
    assert isinstance(blocks, list)
    assert len(blocks[0]["text"]["text"]) <= 3000


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"no_service", 404),
        Reply(b"", 500),
        Reply(b"", 429, {"Retry-After": "30"}),
        Reply(delay=0.5),
        Reply(hang_up=True),
    ],
)
def test_a_slack_that_fails_is_logged_without_its_address(
    far_end: FarEnd, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    far_end.say(HOOK, reply, method="POST")
    caplog.set_level(logging.DEBUG)
    SlackNotifier(lambda: f"{far_end.url}{HOOK}", timeout=0.2).tell(event())
    assert "Slack was not told" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert len(far_end.asked) == 1


@pytest.mark.parametrize("address", ["", "nonsense s3cr3t", "ftp://x/s3cr3t", "http://[s3cr3t"])
def test_an_address_that_is_none_is_logged_without_it(
    caplog: pytest.LogCaptureFixture, address: str
) -> None:
    SlackNotifier(lambda: address).tell(event())
    assert "Slack was not told" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_missing_secret_is_logged_with_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    def missing() -> str:
        raise Permanent("no slack_webhook is configured; set FLOWMASTER_SLACK_WEBHOOK_FILE")

    SlackNotifier(missing).tell(event())
    assert "FLOWMASTER_SLACK_WEBHOOK_FILE" in caplog.text


def test_the_log_has_one_line_at_the_level_of_its_severity(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        LogNotifier().tell(event(text="first\nsecond"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "deployment_failed [production/auth-service] auth-service did not get ready: first second"
    )


class Recorded:
    def __init__(self) -> None:
        self.told: list[Event] = []

    def tell(self, event: Event) -> None:
        self.told.append(event)


class Broken:
    def tell(self, event: Event) -> None:
        raise RuntimeError("against its promise")


def test_one_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    last = Recorded()
    SeveralNotifiers((Broken(), last)).tell(event())
    assert last.told == [event()]
    assert "Broken did not tell" in caplog.text
