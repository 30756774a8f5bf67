"""Who asks the server: nobody unknown reads or changes anything, and few guesses are answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.web.known import FAILURES, FRESH, TRUSTED, WINDOW
from tests.fakes.office import FakeOffice

HOLD = {"service": "service-0", "environment": "production", "reason": "smells"}
OPEN = {"/healthz", "/readyz", "/webhooks/gitlab"}
"""What answers whoever asks: a probe, and GitLab, which proves itself by its signature."""
BODIES: dict[str, object] = {
    "/api/promotions": {"environment": "production", "version": "v1.2.3"},
    "/api/rollbacks": {"environment": "production", "reason": "smells"},
    "/api/approvals": {"environment": "production", "version": "v1.2.3"},
    "/api/holds": HOLD,
    "/api/holds/{id}/release": {},
    "/api/adoptions": {"environment": "production"},
    "/api/incidents/{id}/approve": {},
    "/api/incidents/{id}/dismiss": {},
    "/api/migrations": {
        "job": "service-0",
        "environment": "production",
        "version": 1,
        "reason": "seen",
    },
    "/api/overrides": {
        "environment": "production",
        "version": "v1.2.3",
        "gate": "soak",
        "reason": "urgent",
    },
    "/api/canaries/orders": {
        "environment": "production",
        "service": "service-0",
        "command": "abort",
        "reason": "smells",
    },
}


@pytest.fixture
def office(office: FakeOffice) -> FakeOffice:
    """An installation that is no sandbox, where sam has a token."""
    office.sandbox = False
    office.person("sam", 2)
    return office


@pytest.fixture
def client(office: FakeOffice) -> Iterator[TestClient]:
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        yield client


def token(name: str) -> dict[str, str]:
    return {"private-token": f"{name}-token"}


def asked(office: FakeOffice) -> int:
    """How often GitLab was asked whose a token is."""
    return office.forge.calls.count("person of a token")


def api_routes(office: FakeOffice) -> list[tuple[str, str]]:
    found = [route for route in office.app().routes if isinstance(route, Route)]
    return [
        (method, route.path)
        for route in found
        for method in sorted(route.methods or ())
        if route.path.startswith("/api")
    ]


def test_no_route_answers_whom_nobody_knows(client: TestClient, office: FakeOffice) -> None:
    routes = api_routes(office)
    assert len(routes) > 25
    for method, path in routes:
        body = BODIES[path] if method == "POST" else None
        answer = client.request(method, path.replace("{id}", "x"), json=body)
        assert answer.status_code == 401, (method, path)
    assert office.launcher.orders == []
    assert office.history.records == []


def test_what_changes_something_is_not_done_for_a_token_that_was_only_remembered(
    client: TestClient, office: FakeOffice
) -> None:
    """Each of them asks GitLab itself, besides the question whether anybody is known."""
    for method, path in api_routes(office):
        if method != "POST" or "{id}" in path:
            continue
        office.person("sam", 2)
        office.now += timedelta(seconds=TRUSTED)
        client.get("/api/holds", headers=token("sam"))
        del office.forge.tokens["sam-token"]
        answer = client.post(path, json=BODIES[path], headers=token("sam"))
        assert answer.status_code == 401, path
    assert office.launcher.orders == []
    assert office.history.records == []


def test_every_other_route_is_one_that_answers_everybody(office: FakeOffice) -> None:
    found = {route.path for route in office.app().routes if isinstance(route, Route)}
    assert {path for path in found if not path.startswith("/api")} == OPEN


def test_without_a_token_it_is_said_what_to_set(client: TestClient) -> None:
    answer = client.get("/api/status")
    assert answer.status_code == 401
    assert answer.json()["error"]["kind"] == "unauthenticated"
    assert "set FLOWMASTER_TOKEN" in answer.json()["error"]["message"]


@pytest.mark.parametrize("given", ["private-token", "authorization"])
def test_a_person_reads_with_their_token(client: TestClient, given: str) -> None:
    value = "sam-token" if given == "private-token" else "Bearer sam-token"
    assert client.get("/api/status", headers={given: value}).status_code == 200


def test_a_token_that_is_nobodys_reads_nothing(client: TestClient) -> None:
    answer = client.get("/api/status", headers=token("eve"))
    assert answer.status_code == 401
    assert "eve-token" not in answer.text


def test_reads_ask_gitlab_once_a_minute(client: TestClient, office: FakeOffice) -> None:
    for _ in range(5):
        assert client.get("/api/holds", headers=token("sam")).status_code == 200
    assert asked(office) == 1
    office.now += timedelta(seconds=FRESH)
    client.get("/api/holds", headers=token("sam"))
    assert asked(office) == 2


def test_what_changes_something_asks_gitlab_each_time(
    client: TestClient, office: FakeOffice
) -> None:
    client.get("/api/holds", headers=token("sam"))
    for count in (2, 3):
        assert client.post("/api/holds", json=HOLD, headers=token("sam")).status_code == 201
        assert asked(office) == count


def test_a_token_that_was_revoked_changes_nothing_and_then_reads_nothing(
    client: TestClient, office: FakeOffice
) -> None:
    client.get("/api/holds", headers=token("sam"))
    del office.forge.tokens["sam-token"]
    assert client.get("/api/holds", headers=token("sam")).status_code == 200
    assert client.post("/api/holds", json=HOLD, headers=token("sam")).status_code == 401
    assert client.get("/api/holds", headers=token("sam")).status_code == 401
    assert office.history.records == []


def test_while_gitlab_is_away_nobody_new_is_known(client: TestClient, office: FakeOffice) -> None:
    client.get("/api/holds", headers=token("sam"))
    office.forge.people_away = Unreachable("GitLab is away")
    assert client.get("/api/holds", headers=token("sam")).status_code == 200
    assert client.get("/api/holds", headers=token("eve")).status_code == 502
    assert client.post("/api/holds", json=HOLD, headers=token("sam")).status_code == 502


def test_tokens_cannot_be_guessed_quickly(client: TestClient, office: FakeOffice) -> None:
    for number in range(FAILURES):
        assert client.get("/api/status", headers=token(f"guess-{number}")).status_code == 401
    answer = client.get("/api/status", headers=token("sam"))
    assert (answer.status_code, answer.json()["error"]["kind"]) == (429, "too_many_failures")
    assert answer.headers["retry-after"] == str(round(WINDOW))
    assert client.post("/api/holds", json=HOLD, headers=token("sam")).status_code == 429
    assert asked(office) == FAILURES
    office.now += timedelta(seconds=WINDOW)
    assert client.get("/api/status", headers=token("sam")).status_code == 200


def test_a_gitlab_that_is_away_is_not_flooded(client: TestClient, office: FakeOffice) -> None:
    office.forge.people_away = Unreachable("GitLab is away")
    statuses = [
        client.get("/api/status", headers=token("sam")).status_code for _ in range(FAILURES + 5)
    ]
    assert statuses == [502] * FAILURES + [429] * 5
    assert asked(office) == FAILURES


def test_who_was_known_is_not_locked_out_by_others(client: TestClient, office: FakeOffice) -> None:
    client.get("/api/status", headers=token("sam"))
    for number in range(FAILURES + 1):
        client.get("/api/status", headers=token(f"guess-{number}"))
    office.now += timedelta(seconds=1)
    assert client.post("/api/holds", json=HOLD, headers=token("sam")).status_code == 201
    office.now += timedelta(seconds=TRUSTED)
    for number in range(FAILURES):
        client.get("/api/status", headers=token(f"guess-{number}"))
    assert client.get("/api/status", headers=token("sam")).status_code == 429


def test_asking_without_a_token_is_no_guess(client: TestClient) -> None:
    for _ in range(2 * FAILURES):
        assert client.get("/api/status").status_code == 401
    assert client.get("/api/status", headers=token("sam")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("x-forwarded-user", "sam"), ("x-forwarded-user", "eve")],
        [("x-forwarded-user", "sam,eve")],
        [("x-forwarded-user", "sam|grant")],
        [("x-forwarded-user", "")],
    ],
)
def test_a_proxy_that_names_not_one_user_names_nobody(
    office: FakeOffice, headers: list[tuple[str, str]]
) -> None:
    named = replace(office.settings(), identity_header="x-forwarded-user")
    served = office.serving(named)
    with TestClient(served, "http://127.0.0.1") as client:
        for answer in (
            client.get("/api/holds", headers=headers),
            client.post("/api/holds", json=HOLD, headers=headers),
        ):
            assert answer.status_code == 401
            assert "does not name one GitLab user" in answer.text
        assert client.get("/api/holds", headers=[("x-forwarded-user", "sam")]).status_code == 200


def test_whom_the_proxy_names_must_be_an_operator(office: FakeOffice) -> None:
    office.operated_by("production", "group/operators")
    office.person("olga", 3, "group/operators")
    named = replace(office.settings(), identity_header="x-forwarded-user")
    served = office.serving(named)
    with TestClient(served, "http://127.0.0.1") as client:
        refused = client.post("/api/holds", json=HOLD, headers={"x-forwarded-user": "sam"})
        assert refused.status_code == 403
        assert "ask one of that group" in refused.text
        taken = client.post("/api/holds", json=HOLD, headers={"x-forwarded-user": "olga"})
        assert taken.json()["author"] == "olga"
