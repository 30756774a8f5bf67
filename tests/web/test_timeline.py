"""The record over the API: what it holds, what it leaves out, and that asking changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event, Semaphore

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


def test_long_answers_are_made_two_at_a_time_and_keep_nobody_else_waiting(
    client: TestClient, office: FakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, running, most = Semaphore(0), Event(), 0, 0

    def slow() -> tuple[Hold, ...]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        begun.release()
        go_on.wait(20)
        running -= 1
        return ()

    monkeypatch.setattr(office.history, "holds", slow)
    with ThreadPoolExecutor(5) as people:
        asked = [people.submit(client.get, ASKED) for _ in range(5)]
        assert begun.acquire(timeout=20)
        assert begun.acquire(timeout=20)
        assert client.get("/healthz").status_code == 200
        go_on.set()
        assert [one.result().status_code for one in asked] == [200] * 5
    assert most == 2


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
