"""Everything that a request may want leaves its entry: who, what, why and from where."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from flowmaster_delivery.model.audit import Action, Channel, Deed, Result, Whence
from flowmaster_delivery.model.canary import Canary, CanaryRule, CanaryStep
from flowmaster_delivery.model.catalog import ApprovalRule, GateName, Kind, OverrideRule
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.incident import Incident, IncidentState
from flowmaster_delivery.model.promotion import Hold
from flowmaster_delivery.model.rollback import Action as Decided
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.policy.audit import verify
from flowmaster_delivery.policy.canary_marks import marks
from flowmaster_delivery.web.strangers import Strangers
from tests.builders import a_service, digest
from tests.fakes.fake_audit import KEY
from tests.fakes.fake_cluster import FakeCluster
from tests.fakes.office import START, FakeOffice

SAM = {"private-token": "sam-token"}
EVE = {"private-token": "eve-token"}
PRODUCTION = {"environment": "production"}
OF_SERVICE = {**PRODUCTION, "service": "service-0"}


@dataclass(frozen=True)
class Wanted:
    """A request, and the entries of one that is let through."""

    path: str
    body: Mapping[str, object]
    entries: tuple[Action, ...]
    services: tuple[str, ...] = ()

    @property
    def action(self) -> Action:
        return self.entries[0]


EVERY = ("schema", "service-0")
WANTED = [
    Wanted(
        "/api/promotions",
        {**PRODUCTION, "version": "v1.2.3", "reason": "because"},
        (Action.PROMOTION_ASKED,),
        EVERY,
    ),
    Wanted(
        "/api/rollbacks",
        {**PRODUCTION, "services": ["service-0"], "reason": "because"},
        (Action.ROLLBACK_ASKED,),
        ("service-0",),
    ),
    Wanted(
        "/api/approvals",
        {**PRODUCTION, "version": "v1.2.3"},
        (Action.APPROVAL_GIVEN,),
        EVERY,
    ),
    Wanted(
        "/api/overrides",
        {**PRODUCTION, "version": "v1.2.3", "gate": "soak", "reason": "because"},
        (Action.OVERRIDE_GIVEN,),
    ),
    Wanted(
        "/api/holds", {**OF_SERVICE, "reason": "because"}, (Action.HOLD_PLACED,), ("service-0",)
    ),
    Wanted("/api/holds/h0/release", {"reason": "because"}, (Action.HOLD_RELEASED,), ("service-0",)),
    Wanted(
        "/api/incidents/i0/approve",
        {"reason": "because"},
        (Action.INCIDENT_APPROVED, Action.ROLLBACK_ASKED),
        ("service-0",),
    ),
    Wanted(
        "/api/incidents/i0/dismiss",
        {"reason": "because"},
        (Action.INCIDENT_DISMISSED,),
        ("service-0",),
    ),
    Wanted(
        "/api/canaries/orders",
        {**OF_SERVICE, "command": "pause", "reason": "because"},
        (Action.CANARY_ORDERED,),
        ("service-0",),
    ),
    Wanted(
        "/api/migrations",
        {**PRODUCTION, "job": "schema", "version": 12, "reason": "because"},
        (Action.SCHEMA_SETTLED,),
        ("schema",),
    ),
    Wanted(
        "/api/adoptions",
        {**PRODUCTION, "reason": "because"},
        (Action.ADOPTION, Action.ADOPTION),
        EVERY,
    ),
]
every_want = pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.path)
NOT_BY_PEOPLE = {"/webhooks/gitlab"}
"""A webhook makes the platform look; what comes of that is on the trail."""


@pytest.fixture
def office(tmp_path: Path) -> FakeOffice:
    """Production can do all that there is; sam may do all of it, eve nothing."""
    made = FakeOffice(tmp_path)
    services = (a_service("service-0"), a_service("schema", kind=Kind.JOB))
    step = CanaryStep(1, timedelta(minutes=5))
    production = replace(
        made.catalog.environments["production"],
        operators="group/operators",
        override=OverrideRule("group/seniors", (GateName.SOAK,)),
        approvals=ApprovalRule(1, "group/seniors"),
        safeguards=Safeguards(canary=CanaryRule(steps=(step,), limits=())),
    )
    made.catalog = replace(
        made.catalog,
        services={service.name: service for service in services},
        environments={**made.catalog.environments, "production": production},
    )
    made.person("sam", 2, "group/seniors", "group/operators")
    made.person("eve", 3)
    made.release("v1.2.3")
    made.history.record(an_incident())
    made.history.record(
        Hold("h0", "service-0", "production", "dana", "5xx", START - timedelta(hours=1))
    )
    made.clusters = lambda _: a_cluster(made)
    return made


def an_incident() -> Incident:
    return Incident(
        id="i0",
        environment="production",
        services=("service-0",),
        trigger=Trigger.LATENCY,
        action=Decided.ASK,
        state=IncidentState.ASKED,
        opened_at=START,
        updated_at=START,
        reason="p95 is 0.9 s",
        from_digest="sha256:bad",
        to_digest="sha256:good",
    )


def a_cluster(office: FakeOffice) -> FakeCluster:
    """A service that is known to the registry, with a canary beside it."""
    service, made = office.catalog.service("service-0"), FakeCluster()
    known = RegistryImage(digest(), revision=office.forge.branches["platform"]["main"])
    office.registry.images[service.image, known.digest] = known
    made.deploy(service, office.catalog.reference(service, known.digest))
    canary = Canary("sha256:new", "run-1", 7, START, START + timedelta(hours=3))
    made.create_canary(service, "registry/new@sha256:new", pods=1, annotations=marks(canary))
    made.edit("service-0-canary", available=1)
    return made


@pytest.fixture
def client(office: FakeOffice) -> Iterator[TestClient]:
    with TestClient(
        office.app(),
        "http://127.0.0.1",
        raise_server_exceptions=False,
        client=("10.0.0.7", 4711),
    ) as client:
        yield client


def entries(office: FakeOffice) -> list[Deed]:
    assert verify(office.audit.read(), KEY).whole
    return office.audit.deeds


def writing_routes(served: Starlette) -> set[str]:
    routes = [route for route in served.routes if isinstance(route, Route)]
    return {route.path for route in routes if route.methods and route.methods - {"GET", "HEAD"}}


def test_every_route_that_wants_something_done_is_in_the_table(office: FakeOffice) -> None:
    """A route that is new leaves its entry too, or this fails."""
    paths = {wanted.path.replace("/h0/", "/{id}/").replace("/i0/", "/{id}/") for wanted in WANTED}
    assert writing_routes(office.app()) == paths | NOT_BY_PEOPLE


@every_want
def test_what_is_let_through_is_on_the_trail_with_who_why_and_from_where(
    client: TestClient, office: FakeOffice, wanted: Wanted
) -> None:
    answer = client.post(wanted.path, json=wanted.body, headers=SAM)
    assert answer.is_success, answer.text
    found = entries(office)
    assert tuple(deed.action for deed in found) == wanted.entries
    for deed in found:
        assert (deed.who, deed.via, deed.result) == ("sam", "gitlab", Result.ACCEPTED)
        assert deed.whence == Whence(Channel.API, "10.0.0.7")
        assert deed.environment == "production"
    named = {service for deed in found for service in deed.services}
    assert tuple(sorted(named)) == wanted.services
    if "reason" in wanted.body:
        assert "because" in found[-1].reason or found[-1].details["said"].endswith("because")


@every_want
def test_what_is_not_on_the_trail_does_not_happen(
    client: TestClient, office: FakeOffice, wanted: Wanted
) -> None:
    before = list(office.history.records)
    office.audit.away = True
    answer = client.post(wanted.path, json=wanted.body, headers=SAM)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (502, "unreachable")
    assert "audit trail" in answer.json()["error"]["message"]
    assert [r for r in office.history.records if r not in before and not seen_only(r)] == []
    assert office.launcher.orders == []
    (late,) = office.audit.late
    assert (late.action, late.who, late.result) == (wanted.action, "sam", Result.FAILED)


def seen_only(record: object) -> bool:
    """What changes nothing by itself: the release with its images, an image that was found."""
    return type(record).__name__ in ("ReleaseSeen", "ImageRecord")


@every_want
def test_what_nobody_vouches_for_is_on_the_trail_as_that(
    client: TestClient, office: FakeOffice, wanted: Wanted
) -> None:
    headers = {"private-token": "stolen-and-expired"}
    assert client.post(wanted.path, json=wanted.body, headers=headers).status_code == 401
    (deed,) = entries(office)
    assert (deed.action, deed.result) == (Action.AUTHENTICATION_REFUSED, Result.REFUSED)
    assert (deed.who, deed.via, deed.whence.address) == ("", "", "10.0.0.7")
    assert deed.details["wanted"] == wanted.action.value
    assert "stolen-and-expired" not in office.audit.entries[0].content


@every_want
def test_what_a_person_may_not_do_is_on_the_trail_with_their_name(
    client: TestClient, office: FakeOffice, wanted: Wanted
) -> None:
    assert client.post(wanted.path, json=wanted.body, headers=EVE).status_code in (403, 409)
    (deed,) = entries(office)
    assert (deed.action, deed.result, deed.who) == (wanted.action, Result.REFUSED, "eve")
    assert "is not a member of" in deed.reason


@every_want
def test_a_request_that_makes_no_sense_is_on_the_trail_with_who_sent_it(
    client: TestClient, office: FakeOffice, wanted: Wanted
) -> None:
    assert client.post(wanted.path, json={"colour": "red"}, headers=SAM).status_code == 400
    (deed,) = entries(office)
    assert (deed.action, deed.result, deed.who) == (wanted.action, Result.REFUSED, "sam")
    assert "not of its form" in deed.reason


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/holds", {**OF_SERVICE, "environment": "prod", "reason": "because"}),
        ("/api/holds/h9/release", {"reason": "because"}),
        ("/api/incidents/i9/approve", {}),
    ],
)
def test_what_does_not_exist_is_refused_on_the_trail(
    client: TestClient, office: FakeOffice, path: str, body: Mapping[str, object]
) -> None:
    assert client.post(path, json=body, headers=SAM).status_code == 404
    (deed,) = entries(office)
    assert (deed.result, deed.who, deed.details["path"]) == (Result.REFUSED, "sam", path)


def test_what_was_let_through_and_came_to_nothing_has_an_entry_that_says_so(
    client: TestClient, office: FakeOffice
) -> None:
    office.launcher.broken = Unreachable("Dagster does not answer")
    body = {**PRODUCTION, "version": "v1.2.3"}
    assert client.post("/api/promotions", json=body, headers=SAM).status_code == 502
    accepted, failed = entries(office)
    assert (accepted.result, failed.result) == (Result.ACCEPTED, Result.FAILED)
    assert failed.reason == "Dagster does not answer"


def test_what_nobody_foresaw_is_on_the_trail_without_what_it_said(
    client: TestClient, office: FakeOffice
) -> None:
    def broken() -> tuple[()]:
        raise ValueError("secret detail")

    office.history.holds = broken  # type: ignore[method-assign]
    assert client.post("/api/holds/h0/release", json={}, headers=SAM).status_code == 500
    (deed,) = entries(office)
    assert (deed.result, deed.reason) == (Result.FAILED, "ValueError")


def test_what_was_so_already_is_on_the_trail_as_unchanged(
    client: TestClient, office: FakeOffice
) -> None:
    for _ in range(2):
        assert client.post("/api/holds/h0/release", json={}, headers=SAM).is_success
    released, again = entries(office)
    assert (released.result, again.result) == (Result.ACCEPTED, Result.UNCHANGED)
    assert (again.action, again.who) == (Action.HOLD_RELEASED, "sam")


def test_a_second_promotion_is_refused_with_the_name_of_the_first(
    client: TestClient, office: FakeOffice
) -> None:
    body = {**PRODUCTION, "version": "v1.2.3"}
    client.post("/api/promotions", json=body, headers=SAM)
    client.post("/api/promotions", json=body, headers=SAM)
    first, second = entries(office)
    assert (first.result, second.result) == (Result.ACCEPTED, Result.REFUSED)
    assert "sam is promoting v1.2.3" in second.reason


def test_a_launched_run_is_found_by_its_occasion(client: TestClient, office: FakeOffice) -> None:
    client.post("/api/promotions", json={**PRODUCTION, "version": "v1.2.3"}, headers=SAM)
    ((order, _),) = office.launcher.orders
    assert entries(office)[0].occasion == order.occasion


def test_the_local_user_of_the_sandbox_is_named_as_that(office: FakeOffice) -> None:
    office.catalog = replace(
        office.catalog,
        environments={
            **office.catalog.environments,
            "production": replace(office.catalog.environments["production"], operators=None),
        },
    )
    with TestClient(office.app(), "http://127.0.0.1") as client:
        client.post("/api/holds", json={**OF_SERVICE, "reason": "because"})
    (deed,) = entries(office)
    assert (deed.who, deed.via) == ("local", "sandbox")


@pytest.mark.parametrize(
    ("trusted", "address"),
    [((), "10.0.0.7"), (("10.0.0.0/24",), "203.0.113.9"), (("192.0.2.0/24",), "10.0.0.7")],
)
def test_an_address_that_a_proxy_tells_counts_where_the_proxy_is_trusted(
    office: FakeOffice, trusted: tuple[str, ...], address: str
) -> None:
    settings = replace(office.settings(), trusted_proxies=trusted)
    office.settings = lambda: settings  # type: ignore[method-assign]
    told = {"x-forwarded-for": "1.1.1.1, 203.0.113.9"}
    with TestClient(office.app(), "http://127.0.0.1", client=("10.0.0.7", 1)) as client:
        client.post("/api/holds", json={**OF_SERVICE, "reason": "because"}, headers=SAM | told)
    assert entries(office)[0].whence.address == address


def test_reading_leaves_nothing_on_the_trail(client: TestClient, office: FakeOffice) -> None:
    for path in ("/api/holds", "/api/status", "/api/incidents", "/nowhere"):
        client.get(path, headers=SAM)
    assert entries(office) == []


def test_a_webhook_that_proves_nothing_is_on_the_trail(
    client: TestClient, office: FakeOffice
) -> None:
    headers = {"x-gitlab-token": "guessed"}
    assert client.post("/webhooks/gitlab", json={}, headers=headers).status_code == 401
    (deed,) = entries(office)
    assert (deed.action, deed.result) == (Action.WEBHOOK_REFUSED, Result.REFUSED)
    assert deed.whence.address == "10.0.0.7"
    assert "guessed" not in office.audit.entries[0].content


def test_strangers_do_not_fill_the_trail(client: TestClient, office: FakeOffice) -> None:
    """A few a minute are told; of the others how many there were."""
    client.post("/api/holds", json=OF_SERVICE | {"reason": "because"}, headers=SAM)
    for _ in range(40):
        client.post("/api/holds", json=OF_SERVICE | {"reason": "x"}, headers={"private-token": "?"})
    assert [deed.who for deed in entries(office)] == ["sam", *[""] * 30]
    client.post("/api/holds", json=OF_SERVICE | {"reason": "because"}, headers=SAM)
    assert entries(office)[-1].who == "sam"
    office.now += timedelta(minutes=1)
    client.post("/api/holds", json=OF_SERVICE | {"reason": "x"}, headers={"private-token": "?"})
    assert entries(office)[-1].details["left_out"] == "10"


def test_strangers_are_counted_by_all_threads_together() -> None:
    strangers, told = Strangers(per_minute=5), list[int | None]()

    def come() -> None:
        for _ in range(10):
            told.append(strangers.left_out_before(START))

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(0) == 5
    assert strangers.left_out_before(START + timedelta(minutes=1)) == 35


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?before=x", 400),
        ("?limit=-1", 400),
        ("?limit=²", 400),
        (f"?before={'9' * 40}", 400),
        ("?since=yesterday", 400),
        ("?action=hold", 404),
        ("/check?head=7", 400),
        ("/check?after=7", 400),
        ("/chain?after=x", 400),
        ("?limit=0", 200),
        ("?limit=999999", 200),
        ("?since=2026-03-02T12:00:00", 200),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_in_words(
    client: TestClient, query: str, status: int
) -> None:
    assert client.get(f"/api/audit{query}", headers=SAM).status_code == status
