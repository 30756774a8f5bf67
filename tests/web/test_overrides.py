"""Overrides over the API: whose token it is, and what a request must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from flowmaster_delivery.model.catalog import GateName, OverrideRule
from tests.fakes.office import FakeOffice

BODY = {"environment": "production", "version": "v1.2.3", "gate": "soak", "reason": "logins fail"}
SAM = {"private-token": "sam-token"}


@pytest.fixture
def office(tmp_path: object) -> FakeOffice:
    made = FakeOffice(tmp_path)  # type: ignore[arg-type]  # pytest's path
    rule = OverrideRule("group/seniors", (GateName.SOAK,))
    production = replace(made.catalog.environments["production"], override=rule)
    places = {**made.catalog.environments, "production": production}
    made.catalog = replace(made.catalog, environments=places)
    made.release("v1.2.3")
    made.person("sam", 2, "group/seniors")
    return made


def test_the_person_of_the_token_overrides(client: TestClient) -> None:
    answer = client.post("/api/overrides", json={**BODY, "seconds": 600}, headers=SAM)
    assert (answer.status_code, answer.json()["by"]) == (201, "sam")
    (listed,) = client.get("/api/overrides?environment=production&version=v1.2.3").json()
    assert (listed["override"]["id"], listed["flaw"]) == (answer.json()["id"], "")


def test_nobody_overrides_as_local(client: TestClient) -> None:
    assert client.post("/api/overrides", json=BODY).status_code == 401
    assert client.get("/api/overrides?environment=production&version=v1.2.3").json() == []


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "gate": "sok"},
        {**BODY, "reason": ""},
        {**BODY, "seconds": 0},
        {**BODY, "seconds": -5},
        {**BODY, "seconds": 1e12},
        {**BODY, "by": "dana"},
        {"gate": "soak"},
    ],
)
def test_a_request_of_the_wrong_form_records_nothing(
    client: TestClient, office: FakeOffice, body: object
) -> None:
    assert client.post("/api/overrides", json=body, headers=SAM).status_code == 400
    assert office.history.overrides("platform", "v1.2.3") == ()


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?environment=production", 400), ("?environment=prod&version=v1.2.3", 404)],
)
def test_a_list_is_asked_for_by_environment_and_version(
    client: TestClient, query: str, status: int
) -> None:
    assert client.get(f"/api/overrides{query}").status_code == status
