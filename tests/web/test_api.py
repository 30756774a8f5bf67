"""The API's manners: who may ask, what a request must be, what an error says and hides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flowmaster_delivery.model.errors import Denied, Throttled, Unreachable
from flowmaster_delivery.ports import RunReason
from flowmaster_delivery.redaction import learn
from tests.fakes.office import FakeOffice

HOLD = {"service": "service-0", "environment": "production", "reason": "smells"}


def test_the_server_says_that_it_is_there(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_web_page_cannot_speak_for_the_local_user(client: TestClient) -> None:
    """A page that resolves its own name to loopback, or posts a form, gets nothing done."""
    rebound = client.post("/api/holds", json=HOLD, headers={"host": "evil.example"})
    form = client.post("/api/holds", content=b"{}", headers={"content-type": "text/plain"})
    assert (rebound.status_code, form.status_code) == (400, 400)
    assert client.get("/api/holds").json() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({**HOLD, "extra": 1}, "extra"),
        ({"service": "service-0"}, "environment"),
        ({**HOLD, "reason": ""}, "reason"),
        ({**HOLD, "service": "a/../b"}, "service"),
        ({**HOLD, "reason": "x" * 3000}, "reason"),
        ([], "body"),
    ],
)
def test_a_request_of_the_wrong_form_is_told_every_fault(
    client: TestClient, body: object, words: str
) -> None:
    answer = client.post("/api/holds", json=body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "malformed")
    assert words in answer.json()["error"]["message"]


def test_a_request_that_is_too_large_is_refused(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/api/holds", content=b"[" * 70_000, headers=headers)
    assert answer.status_code == 400
    assert "65536 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/plan?environment=production", 400),
        ("/api/plan?environment=prod&version=v1.0.0", 404),
        ("/api/holds?environment=prod", 404),
        ("/api/runs/r1", 404),
        ("/api/runs", 400),
        ("/api/runs?colour=red", 400),
        ("/nowhere", 404),
    ],
)
def test_unknown_names_and_missing_questions(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Unreachable("GitLab is down"), 502, "unreachable"),
        (Throttled("GitLab says wait", 7.0), 503, "throttled"),
        (Denied("GitLab does not take our token"), 502, "denied"),
    ],
)
def test_trouble_behind_the_server_has_its_own_status(
    client: TestClient, office: FakeOffice, error: Exception, status: int, kind: str
) -> None:
    office.release("v1.2.3")
    office.forge.broken["platform"] = error  # type: ignore[assignment]
    answer = client.get("/api/plan?environment=production&version=v1.2.3")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)
    assert answer.headers.get("retry-after") == ("7" if status == 503 else None)


def test_what_nobody_foresaw_leaves_nothing_of_itself(office: FakeOffice) -> None:
    def broken() -> tuple[()]:
        raise ValueError("secret detail")

    office.history.holds = broken  # type: ignore[method-assign]
    served = office.app()
    with TestClient(served, "http://127.0.0.1", raise_server_exceptions=False) as client:
        answer = client.get("/api/holds")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("error", [Denied, RuntimeError])
def test_the_callers_token_is_in_no_answer_and_no_log(
    office: FakeOffice, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    def echoing(token: str) -> None:
        raise error(f"GitLab says that {token} has expired")

    office.forge.person_of = echoing  # type: ignore[method-assign,assignment]
    with TestClient(office.app(), "http://127.0.0.1", raise_server_exceptions=False) as client:
        answer = client.post("/api/holds", json=HOLD, headers={"private-token": "token-of-dana"})
    assert answer.status_code in (401, 500)
    assert "token-of-dana" not in answer.text + caplog.text


def test_a_secret_in_a_record_is_in_no_answer(client: TestClient) -> None:
    client.post("/api/holds", json={**HOLD, "reason": 'said "planted-0123"'})
    learn("gitlab_token", 'said "planted-0123"')
    assert client.get("/api/holds").json()[0]["reason"] == "•••"


def test_the_proxys_word_counts_only_where_its_header_is_named(
    office: FakeOffice, tmp_path: Path
) -> None:
    office.sandbox = False
    headers = {"x-forwarded-user": "sam"}
    named = replace(office.settings(), identity_header="x-forwarded-user")
    trusting = office.serving(named)
    with TestClient(office.app(), "http://127.0.0.1") as client:
        assert client.post("/api/holds", json=HOLD, headers=headers).status_code == 401
    with TestClient(trusting, "http://127.0.0.1") as client:
        assert client.post("/api/holds", json=HOLD, headers=headers).json()["author"] == "sam"


def test_a_bearer_token_is_a_token(client: TestClient, office: FakeOffice) -> None:
    office.person("sam", 2)
    headers = {"authorization": "Bearer sam-token"}
    assert client.post("/api/holds", json=HOLD, headers=headers).json()["author"] == "sam"


def test_services_keep_their_names_in_a_run(client: TestClient, office: FakeOffice) -> None:
    """Dagster writes `_` for every `-` in a step."""
    office.release("v1.2.3")
    body = {"environment": "production", "version": "v1.2.3"}
    run = client.post("/api/promotions", json=body).json()["run"]
    reason = RunReason("service_0", "deployment", "", "crashed")
    steps = {"service_0/deployment": "FAILURE"}
    office.launcher.becomes(run, "FAILURE", reasons=(reason,), steps=steps)
    told = client.get(f"/api/runs/{run}").json()
    assert told["steps"] == {"service-0/deployment": "FAILURE"}
    assert told["reasons"][0]["service"] == "service-0"


def test_runs_are_found_by_what_they_are_about(client: TestClient, office: FakeOffice) -> None:
    office.release("v1.2.3")
    client.post("/api/promotions", json={"environment": "production", "version": "v1.2.3"})
    found = client.get("/api/runs?environment=production&version=v1.2.3").json()
    assert [run["run"] for run in found] == ["run-1"]
    assert client.get("/api/runs?version=v9.9.9").json() == []


def test_what_runs_already_is_left_alone(client: TestClient, office: FakeOffice) -> None:
    release = office.release("v1.2.3")
    record = office.deployed("service-0", "production", "v1.2.3")
    office.history.records.remove(record)
    office.history.record(replace(record, digest=release.images["service-0"]))
    client.post("/api/promotions", json={"environment": "production", "version": "v1.2.3"})
    (order, _), *_ = office.launcher.orders
    assert {service for service, _ in order.assets} == {"service-1", "service-2"}
