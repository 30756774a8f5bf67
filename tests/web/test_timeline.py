"""The record over the API: what it holds, what it leaves out, and that asking changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from flowmaster_delivery.adapters.dagster_codec import KINDS
from flowmaster_delivery.flows import timeline
from flowmaster_delivery.model.health import HealthObservation
from flowmaster_delivery.model.promotion import Admission, Hold
from tests.builders import a_candidate, a_look, an_approval
from tests.fakes.office import START, FakeOffice

HOUR = timedelta(hours=1)
SINCE = "2026-03-02T10:00:00Z"
ASKED = f"/api/timeline?environment=production&since={SINCE}"


def kinds(client: TestClient, path: str = ASKED) -> list[str]:
    return sorted(one["kind"] for one in client.get(path).json()["records"])


@pytest.fixture
def office(tmp_path: object) -> FakeOffice:
    made = FakeOffice(tmp_path)  # type: ignore[arg-type]  # pytest's path
    candidate = a_candidate(service="service-0")
    for at in (START - 9 * HOUR, START - HOUR):
        made.history.record(Admission(candidate, True, "sam", "", at))
    made.deployed("service-0", "production", "v1.2.3")
    made.deployed("service-0", "dev", None)
    made.history.record(an_approval("sofia"))
    made.history.record(an_approval("sofia", version="v9.9.9"))
    made.history.record(Hold("h1", "service-0", "production", "sam", "x", START - 90 * HOUR))
    made.history.record(Hold("h2", "service-0", "staging", "sam", "x", START))
    return made


def test_the_record_of_an_environment_since_a_moment(client: TestClient) -> None:
    assert kinds(client) == ["Admission", "Approval", "DeploymentRecord", "Hold"]


def test_records_come_back_as_they_were(client: TestClient, office: FakeOffice) -> None:
    found = client.get(ASKED).json()["records"]
    rebuilt = [KINDS[one["kind"]].validate_python(one["record"]) for one in found]
    assert rebuilt
    assert all(record in office.history.records for record in rebuilt)


def test_looks_are_asked_for_by_service_and_come_without_evidence(
    client: TestClient, office: FakeOffice
) -> None:
    here = a_look(START - HOUR, service="service-0", environment="production")
    office.history.record(replace(here, evidence={"pod a": "200 in 0.01 s"}))
    office.history.record(replace(here, at=START - 9 * HOUR))
    (found,) = client.get(f"{ASKED}&service=service-0").json()["records"]
    assert found["record"]["evidence"] == {}
    assert kinds(client, f"{ASKED}&service=service-1") == []


def test_looks_that_are_too_many_are_cut_and_it_says_where(
    client: TestClient, office: FakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_LOOKS", 2)
    for minutes in range(5, 0, -1):
        at = START - timedelta(minutes=minutes)
        office.history.record(a_look(at, service="service-0", environment="production"))
    answer = client.get(f"{ASKED}&service=service-0").json()
    (cut,) = answer["cuts"]
    assert len(answer["records"]) == 2
    assert (cut["service"], cut["before"]) == ("service-0", "2026-03-02T11:58:00Z")


def test_asking_writes_nothing(client: TestClient, office: FakeOffice) -> None:
    before = list(office.history.records)
    client.get(ASKED)
    assert client.post(ASKED).status_code == 405
    assert office.history.records == before
    assert not [r for r in before if isinstance(r, HealthObservation)]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("?environment=production", 400),
        ("?environment=production&since=yesterday", 400),
        (f"?environment=prod&since={SINCE}", 404),
        (f"?environment=production&since={SINCE}&service=service-9", 404),
    ],
)
def test_what_cannot_be_asked_is_said(client: TestClient, query: str, status: int) -> None:
    assert client.get(f"/api/timeline{query}").status_code == status


def test_a_time_without_a_zone_is_utc(client: TestClient) -> None:
    bare = ASKED.removesuffix("Z")
    assert kinds(client, bare) == kinds(client)
