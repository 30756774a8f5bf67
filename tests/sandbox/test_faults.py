"""Faults on order, in front of any server."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from flowmaster_delivery.sandbox.faults import Fault, Faults, FaultyApp


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def client(faults: Faults, client_of: Callable[..., Any]) -> Any:
    async def fine(_: Request) -> PlainTextResponse:
        return PlainTextResponse("fine")

    app = Starlette(routes=[Route("/{path:path}", fine, methods=["GET", "POST"])])
    return client_of(FaultyApp(app, "gitlab", faults))


def test_without_orders_all_is_well(client: Any) -> None:
    assert client.get("/anything").text == "fine"


def test_a_status_is_answered_as_often_as_ordered(faults: Faults, client: Any) -> None:
    faults.add(Fault(server="gitlab", match="/api/v4/*", status=429, times=2, retry_after=7))
    answers = [client.get("/api/v4/projects/1") for _ in range(3)]
    assert [a.status_code for a in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(server="registry", status=503),
        Fault(match="/v2/*", status=503),
        Fault(method="POST", status=503),
        Fault(header="Authorization", status=503),
        Fault(times=0, status=503),
    ],
    ids=["another server", "another path", "another method", "another header", "used up"],
)
def test_what_was_not_meant_is_served(faults: Faults, client: Any, fault: Fault) -> None:
    faults.add(fault)
    assert client.get("/api/v4/projects").status_code == 200


def test_a_fault_may_be_for_those_who_bring_credentials(faults: Faults, client: Any) -> None:
    faults.add(Fault(header="Authorization", status=403))
    assert client.get("/", headers={"authorization": "Bearer a"}).status_code == 403


def test_a_dropped_request_gets_no_answer(faults: Faults, client: Any) -> None:
    faults.add(Fault(drop=True))
    with pytest.raises(ConnectionAbortedError):
        client.get("/")


@pytest.mark.parametrize(
    ("how", "reading"),
    [
        ("plain", str),
        ("base64", lambda text: base64.b64decode(text).decode()),
        ("address", unquote),
        ("hex", lambda text: bytes.fromhex(text).decode()),
    ],
)
def test_a_server_that_echoes_says_back_what_it_was_sent_credentials_first(
    faults: Faults, client: Any, how: Any, reading: Callable[[str], str]
) -> None:
    faults.add(Fault(echo=how, status=403))
    headers = {"accept": "a/b", "PRIVATE-TOKEN": "s3cr3t"}
    answer = client.post("/api?x=y", content=b"said", headers=headers)
    assert answer.status_code == 403
    words = reading(answer.json()["message"])
    assert words.startswith("private-token: s3cr3t; ")
    assert words.endswith("/api?x=y; said")
    assert answer.json()["errors"][0]["message"] == answer.json()["error"]


def test_a_delay_alone_is_followed_by_the_usual_answer(faults: Faults, client: Any) -> None:
    faults.add(Fault(delay=0.02))
    answer = client.get("/")
    assert answer.text == "fine"
    assert faults.listed()[0].hits == 1


def test_the_newest_fault_wins_and_all_can_be_taken_back(faults: Faults, client: Any) -> None:
    faults.add(Fault(status=500))
    faults.add(Fault(server="git*", status=404))
    assert client.get("/").status_code == 404
    faults.clear("git*")
    assert client.get("/").status_code == 500
    faults.clear()
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "fault", [Fault(status=42), Fault(delay=-1), Fault(delay=1e9), Fault(echo="loud")], ids=repr
)
def test_an_order_that_cannot_be_carried_out_is_refused(faults: Faults, fault: Fault) -> None:
    with pytest.raises(ValueError, match=r"status|delay|echo"):
        faults.add(fault)
    assert faults.listed() == ()
