"""`/healthz` and `/readyz`: the server's own work, and what it needs to be of use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from flowmaster_delivery.model.errors import Malformed, Unreachable
from flowmaster_delivery.web import hints, probes
from flowmaster_delivery.web.hints import Hint, Hints
from tests.fakes.office import FakeOffice

HINT = Hint("platform", "refs/heads/develop")


def test_a_server_that_works_is_alive_and_ready(client: TestClient) -> None:
    for path in ("/healthz", "/readyz"):
        assert (client.get(path).status_code, client.get(path).json()) == (200, {"status": "ok"})


def test_a_database_that_is_away_ends_no_server_and_makes_none_ready(
    office: FakeOffice, client: TestClient
) -> None:
    office.pulse.fails = Unreachable("connection to db-1 refused")
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"error": {"kind": "not_ready", "message": "the database is away"}}


@pytest.mark.parametrize("error", [Unreachable("no code location"), Malformed("not Dagster")])
def test_without_a_webserver_that_has_our_assets_it_is_not_ready(
    office: FakeOffice, client: TestClient, error: Exception
) -> None:
    office.launcher.broken = error  # type: ignore[assignment]
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json()["error"]["message"] == "launching runs is away"


def test_a_database_that_does_not_answer_is_not_waited_for(
    office: FakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "PATIENCE", 0.01)
    answers = threading.Event()
    office.pulse.before = lambda: wait_for(answers)
    with TestClient(office.app(), base_url="http://127.0.0.1") as client:
        for _ in range(5):
            assert client.get("/readyz").json()["error"]["message"] == "the database is away"
    assert office.pulse.asked == 1
    answers.set()


def wait_for(event: threading.Event) -> None:
    assert event.wait(20)


def a_queue(look: Callable[[Hint], None]) -> Hints:
    made = Hints(look, workers=1)
    made.start()
    return made


def test_a_look_that_takes_too_long_is_told() -> None:
    began, may_end = threading.Event(), threading.Event()

    def look(_: Hint) -> None:
        began.set()
        wait_for(may_end)

    queue = a_queue(look)
    queue.offer(HINT)
    wait_for(began)
    now = time.monotonic()
    assert queue.troubles(now) == ()
    (told,) = queue.troubles(now + hints.STUCK + 1)
    assert told.startswith("looking at refs/heads/develop of platform takes 90")
    may_end.set()
    assert queue.wait_until_idle(20)
    assert queue.troubles(now + hints.STUCK + 1) == ()
    queue.stop()


def test_a_thread_that_has_ended_is_told_unless_it_was_told_to() -> None:
    queue = Hints(lambda _: None, workers=2)
    assert queue.troubles(0.0) == ("thread hints-0 has ended", "thread hints-1 has ended")
    queue.start()
    assert queue.troubles(time.monotonic()) == ()
    queue.stop()
    assert queue.troubles(time.monotonic()) == ()


def test_a_server_whose_hints_are_stuck_is_not_alive(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hints, "troubles", lambda *_: ("thread hints-0 has ended",))
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "stuck")
