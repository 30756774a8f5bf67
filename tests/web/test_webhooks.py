"""The receiver: hints are taken at once, repeats dropped, everything else refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.source import PipelineState
from flowmaster_delivery.web.hints import Hint, Hints, hint_of
from flowmaster_delivery.web.repeats import Repeats
from tests.builders import a_catalog
from tests.fakes.office import TOKEN, FakeOffice

HEADERS = {"x-gitlab-token": TOKEN}

DEEP = b"[" * 200_000
"""JSON of more levels than a parser has room for."""


def push(ref: str = "refs/heads/develop", project: str = "group/platform") -> dict[str, object]:
    return {"object_kind": "push", "ref": ref, "project": {"path_with_namespace": project}}


def pipeline(status: str, *, ref: str = "develop", tag: bool = False) -> dict[str, object]:
    attributes = {"ref": ref, "tag": tag, "status": status}
    project = {"path_with_namespace": "group/platform"}
    return {"object_kind": "pipeline", "object_attributes": attributes, "project": project}


def settle(client: TestClient) -> None:
    assert client.app.state.office.hints.wait_until_idle(5)  # type: ignore[attr-defined]


def test_a_passed_pipeline_leads_to_the_run_of_its_branch(
    client: TestClient, office: FakeOffice
) -> None:
    paths = {path: path for s in office.catalog.services.values() for path in s.paths}
    office.forge.push("platform", "develop", "d1", paths)
    answer = client.post("/webhooks/gitlab", json=pipeline("success"), headers=HEADERS)
    settle(client)
    assert (answer.status_code, answer.json()) == (202, {"webhook": "taken"})
    (order, asked_by), *more = office.launcher.orders
    assert (order.environment, order.tags["flowmaster/ref"]) == ("dev", "develop")
    assert (asked_by, more) == ("intake", [])


def test_pushes_and_pipelines_of_one_commit_launch_one_run(
    client: TestClient, office: FakeOffice
) -> None:
    paths = {path: path for s in office.catalog.services.values() for path in s.paths}
    office.forge.push("platform", "develop", "d1", paths)
    for number, payload in enumerate([push(), pipeline("running"), pipeline("success")]):
        headers = {**HEADERS, "webhook-id": str(number)}
        client.post("/webhooks/gitlab", json=payload, headers=headers)
    settle(client)
    assert len(office.launcher.orders) == 1


def test_a_repeated_webhook_is_dropped(client: TestClient, office: FakeOffice) -> None:
    headers = {**HEADERS, "idempotency-key": "the-same"}
    first = client.post("/webhooks/gitlab", json=push(), headers=headers)
    second = client.post("/webhooks/gitlab", json=push(), headers=headers)
    settle(client)
    assert [first.json(), second.json()] == [{"webhook": "taken"}, {"webhook": "repeated"}]
    assert office.forge.calls.count("refs platform") == 1


def test_a_webhook_without_an_id_is_told_by_its_content(client: TestClient) -> None:
    answers = [
        client.post("/webhooks/gitlab", json=payload, headers=HEADERS).json()["webhook"]
        for payload in (push(), push(), push("refs/heads/staging"))
    ]
    assert answers == ["taken", "repeated", "taken"]


def test_a_forged_webhook_is_rejected_and_leads_nowhere(
    client: TestClient, office: FakeOffice
) -> None:
    answer = client.post("/webhooks/gitlab", json=push(), headers={"x-gitlab-token": "guess"})
    settle(client)
    assert answer.status_code == 401
    assert office.forge.calls == []


def test_a_forged_webhook_does_not_use_up_the_id_of_the_real_one(client: TestClient) -> None:
    forged = {"x-gitlab-token": "guess", "webhook-id": "7"}
    client.post("/webhooks/gitlab", json=push(), headers=forged)
    answer = client.post("/webhooks/gitlab", json=push(), headers={**HEADERS, "webhook-id": "7"})
    assert answer.json() == {"webhook": "taken"}


def test_without_a_secret_the_receiver_is_closed(office: FakeOffice) -> None:
    office.hook_secrets = False
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        assert client.post("/webhooks/gitlab", json=push()).status_code == 503


def test_an_oversized_webhook_is_refused_by_what_it_announces(client: TestClient) -> None:
    answer = client.post(
        "/webhooks/gitlab", content=b"x", headers={**HEADERS, "content-length": "99999999"}
    )
    assert answer.status_code == 413


def test_an_oversized_webhook_is_refused_before_all_of_it_is_read(client: TestClient) -> None:
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        for _ in range(64):
            read += 1
            yield b"x" * 65536

    answer = client.post("/webhooks/gitlab", content=chunks(), headers=HEADERS)
    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'"text"', b"\xff\xfe", DEEP])
def test_a_body_that_is_no_json_object_is_refused(client: TestClient, body: bytes) -> None:
    assert client.post("/webhooks/gitlab", content=body, headers=HEADERS).status_code == 400


@pytest.mark.parametrize(
    "payload",
    [
        push(project="somebody/else"),
        pipeline("pending"),
        {"object_kind": "note", "project": {"path_with_namespace": "group/platform"}},
        {"object_kind": "push", "ref": 7, "project": ["group/platform"]},
        {},
    ],
)
def test_what_does_not_concern_us_is_ignored(client: TestClient, payload: object) -> None:
    answer = client.post("/webhooks/gitlab", content=json.dumps(payload), headers=HEADERS)
    assert (answer.status_code, answer.json()) == (202, {"webhook": "ignored"})


def test_a_slow_gitlab_does_not_slow_the_answer(client: TestClient, office: FakeOffice) -> None:
    held = threading.Event()
    office.forge.refs = lambda _: held.wait(5)  # type: ignore[method-assign,assignment,return-value]
    started = time.monotonic()
    answer = client.post("/webhooks/gitlab", json=push(), headers=HEADERS)
    took = time.monotonic() - started
    held.set()
    assert answer.status_code == 202
    assert took < 3


def test_gitlab_down_is_left_to_the_sensor(client: TestClient, office: FakeOffice) -> None:
    office.forge.broken["platform"] = Unreachable("GitLab is down")
    assert client.post("/webhooks/gitlab", json=push(), headers=HEADERS).status_code == 202
    settle(client)
    assert office.forge.calls.count("refs platform") == 3
    del office.forge.broken["platform"]
    client.post("/webhooks/gitlab", json=push("refs/heads/staging"), headers=HEADERS)
    settle(client)
    assert office.forge.calls.count("refs platform") == 4


def test_a_tag_becomes_a_candidate(client: TestClient, office: FakeOffice) -> None:
    office.release("v1.2.3")
    office.forge.run_ci(
        "platform", "v1.2.3", office.forge.tags["platform"]["v1.2.3"], PipelineState.SUCCESS
    )
    answer = client.post(
        "/webhooks/gitlab",
        json={**push("refs/tags/v1.2.3"), "object_kind": "tag_push"},
        headers=HEADERS,
    )
    settle(client)
    assert answer.status_code == 202
    assert [o.environment for o, _ in office.launcher.orders] == ["production"]


@pytest.mark.parametrize(
    ("payload", "ref"),
    [
        (push(), "refs/heads/develop"),
        (pipeline("success", ref="v1.0.0", tag=True), "refs/tags/v1.0.0"),
        (pipeline("manual"), "refs/heads/develop"),
        (
            {
                "object_kind": "merge_request",
                "object_attributes": {"action": "merge", "target_branch": "staging"},
                "project": {"path_with_namespace": "group/platform"},
            },
            "refs/heads/staging",
        ),
    ],
)
def test_the_payload_is_a_hint_where_to_look(payload: dict[str, object], ref: str) -> None:
    assert hint_of(payload, a_catalog()) == Hint("platform", ref)


def test_hints_of_one_ref_that_wait_are_one_look() -> None:
    looked: list[Hint] = []
    hints = Hints(looked.append)
    assert all(hints.offer(Hint("platform", "refs/heads/develop")) for _ in range(5))
    hints.start()
    assert hints.wait_until_idle(5)
    hints.stop()
    assert len(looked) == 1


def test_a_full_queue_refuses_what_is_new_and_takes_what_waits() -> None:
    hints = Hints(lambda _: None, capacity=1)
    assert hints.offer(Hint("platform", "refs/heads/develop"))
    assert hints.offer(Hint("platform", "refs/heads/develop"))
    assert not hints.offer(Hint("platform", "refs/heads/staging"))


def test_a_look_that_breaks_does_not_end_the_work() -> None:
    looked: list[Hint] = []

    def look(hint: Hint) -> None:
        looked.append(hint)
        raise ValueError("unforeseen")

    hints = Hints(look, workers=1)
    hints.start()
    for ref in ("a", "b"):
        hints.offer(Hint("platform", ref))
        assert hints.wait_until_idle(5)
    hints.stop()
    assert len(looked) == 2


def test_the_memory_of_repeats_is_bounded_and_forgets() -> None:
    repeats = Repeats(ttl=600, capacity=2)
    assert [repeats.is_new(key, 0) for key in ("a", "b", "a")] == [True, True, False]
    assert repeats.is_new("c", 1)
    assert repeats.is_new("a", 2)
    assert not repeats.is_new("c", 600)
    assert repeats.is_new("c", 700)


def test_a_late_webhook_is_rejected(office: FakeOffice) -> None:
    office.now += timedelta(days=1)
    headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        answer = client.post("/webhooks/gitlab", json=push(), headers=headers)
    assert answer.status_code == 401
    assert "too late" in answer.json()["error"]["message"]
