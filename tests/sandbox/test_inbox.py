"""What Slack, PagerDuty and Grafana would have received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowmaster_delivery.sandbox.inbox import Inbox


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def client(inbox: Inbox, client_of: Callable[..., Any]) -> Any:
    return client_of(inbox.app)


@pytest.fixture
def slack(inbox: Inbox) -> str:
    return inbox.addresses("")["slack_webhook_url"]


def test_a_chat_message_is_taken_and_shown(client: Any, slack: str) -> None:
    assert client.post(slack, json={"text": "v1.2.3 is out"}).text == "ok"
    [message] = client.get("/inbox").json()
    assert (message["kind"], message["text"]) == ("slack", "v1.2.3 is out")


def test_a_message_of_blocks_shows_its_first_text(client: Any, slack: str) -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "held"}}
    client.post(slack, json={"blocks": [{"type": "divider"}, block]})
    assert client.get("/inbox").json()[0]["text"] == "held"


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [(b"{", 400, "invalid_payload"), (b"[]", 400, "invalid_payload"), (b"{}", 400, "no_text")],
)
def test_a_chat_message_that_is_none_is_refused(
    client: Any, slack: str, content: bytes, status: int, words: str
) -> None:
    answer = client.post(slack, content=content)
    assert (answer.status_code, answer.text) == (status, words)
    assert client.get("/inbox").json() == []


def test_an_oversized_message_is_refused(client: Any, slack: str) -> None:
    assert client.post(slack, content=b" " * (1024 * 1024 + 1)).status_code == 413


def test_a_wrong_chat_address_is_refused(client: Any, slack: str) -> None:
    assert client.post(slack + "x", json={"text": "hello"}).status_code == 403


def test_a_page_is_taken_and_its_key_is_not_shown(client: Any, inbox: Inbox) -> None:
    event = {
        "routing_key": inbox.pagerduty_key,
        "event_action": "trigger",
        "payload": {"summary": "api-gateway is down", "source": "watch", "severity": "critical"},
    }
    answer = client.post("/pagerduty/v2/enqueue", json=event)
    assert (answer.status_code, answer.json()["status"]) == (202, "success")
    assert answer.json()["dedup_key"]
    shown = client.get("/inbox")
    assert shown.json()[0]["text"] == "api-gateway is down"
    assert inbox.pagerduty_key not in shown.text


@pytest.mark.parametrize(
    "change",
    [{"routing_key": "wrong"}, {"routing_key": ""}, {"event_action": ""}, {"payload": "text"}],
    ids=str,
)
def test_an_event_that_pagerduty_would_refuse_is_refused(
    client: Any, inbox: Inbox, change: dict[str, object]
) -> None:
    good = {"routing_key": inbox.pagerduty_key, "event_action": "trigger", "payload": {}}
    answer = client.post("/pagerduty/v2/enqueue", json=good | change)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")


def test_an_annotation_needs_the_token_and_a_text(client: Any, inbox: Inbox) -> None:
    place, token = "/grafana/api/annotations", {"Authorization": f"Bearer {inbox.grafana_token}"}
    assert client.post(place, json={"text": "deployed"}).status_code == 401
    assert client.post(place, json={}, headers=token).status_code == 400
    assert client.post(place, json={"text": "deployed"}, headers=token).json()["id"] == 1


def test_the_page_shows_messages_as_text_and_never_as_markup(client: Any, slack: str) -> None:
    client.post(slack, json={"text": "<script>alert(1)</script>"})
    page = client.get("/inbox", headers={"Accept": "text/html"})
    assert "text/html" in page.headers["content-type"]
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_the_newest_message_stands_first(client: Any, slack: str) -> None:
    for text in ("first", "second"):
        client.post(slack, json={"text": text})
    assert [m["text"] for m in client.get("/inbox").json()] == ["second", "first"]
