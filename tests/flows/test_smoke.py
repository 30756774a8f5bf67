"""Smoke tests: calls that build on each other, and what is the service's fault and what is not."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from flowmaster_delivery.flows.goal import Pace
from flowmaster_delivery.flows.verification.smoke import smoke
from flowmaster_delivery.model.catalog import Environment, Kind, RefKind, RefRule, Service
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Malformed,
    Permanent,
    Transient,
    Unreachable,
)
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollout import Progress
from flowmaster_delivery.model.verification import CheckResult, HttpStep, SmokeTest
from flowmaster_delivery.ports import HttpAnswer
from tests.fakes.fake_cluster import FakeTime
from tests.fakes.fake_probe import FakeProbe

BASE = "http://dev.test/"
PASSWORD = "correct horse"  # a made-up one
LOGIN = HttpStep(
    "POST",
    "/login",
    body={"user": "smoke", "password": "secret:smoke-password"},
    expect={"user.name": "smoke"},
    save={"token": "token", "team": "teams.0.id"},
)
DASHBOARD = HttpStep("GET", "/teams/{team}/dashboard", headers={"Authorization": "Bearer {token}"})
LOGGED_IN = HttpAnswer(
    200, {"user": {"name": "smoke"}, "token": "t0ken", "teams": [{"id": 7}]}, 0.1
)


@dataclass
class Stage:
    probe: FakeProbe = field(default_factory=FakeProbe)
    time: FakeTime = field(default_factory=FakeTime)
    secrets: dict[str, str] = field(default_factory=lambda: {"smoke-password": PASSWORD})
    ended: tuple[Outcome, str] = (Outcome.SUCCESS, "exit code 0")
    told: list[str] = field(default_factory=list)
    cancelled: bool = False

    def secret(self, name: str) -> str:
        if name not in self.secrets:
            raise Permanent(f"there is no secret {name}")
        return self.secrets[name]

    def say(self, call: str, answer: HttpAnswer | DeliveryError) -> None:
        method, path = call.split()
        self.probe.said[f"{method} http://dev.test/api{path}"] = answer

    def run(self, *tests: SmokeTest, base_url: str | None = BASE) -> CheckResult:
        service = Service("api", Kind.DEPLOYMENT, "platform", "api", "group/api", smoke=tests)
        rule = RefRule(RefKind.BRANCH, "develop")
        environment = Environment("dev", "test", rule, base_url=base_url)
        pace = Pace(
            self.time.now,
            self.heard,
            lambda: self.cancelled,
            self.time.monotonic,
            self.time.sleep,
        )
        return smoke(service, environment, self.probe, self.secret, lambda _: self.ended, pace)

    def heard(self, progress: Progress) -> None:
        self.told.append(progress.message)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def way(*steps: HttpStep, name: str = "dashboard", seconds: float = 30) -> SmokeTest:
    return SmokeTest(name, steps, timeout=timedelta(seconds=seconds))


def test_later_calls_use_what_earlier_ones_saved(stage: Stage) -> None:
    stage.say("POST /login", LOGGED_IN)
    result = stage.run(way(LOGIN, DASHBOARD))
    assert (result.outcome, result.words) == (Outcome.SUCCESS, "passed: dashboard")
    assert result.url == "http://dev.test/api"
    login, dashboard = stage.probe.called
    assert login.body == {"user": "smoke", "password": PASSWORD}
    assert dashboard.url == "http://dev.test/api/teams/7/dashboard"
    assert dashboard.headers == {"Authorization": "Bearer t0ken"}
    assert result.evidence["dashboard: 1. POST /login"] == "200 in 0.100 s"
    assert stage.told == ["smoke test dashboard of api"]


def test_a_saved_number_stays_one_and_a_saved_path_stays_one_segment(stage: Stage) -> None:
    stage.say("POST /new", HttpAnswer(200, {"id": 7, "name": "a/b?c"}, 0.1))
    make = HttpStep("POST", "/new", body={}, save={"id": "id", "name": "name"})
    use = HttpStep("POST", "/by/{name}", body={"id": "{id}", "all": ["no {id}", True]})
    assert stage.run(way(make, use)).outcome is Outcome.SUCCESS
    assert stage.probe.called[1].url == "http://dev.test/api/by/a%2Fb%3Fc"
    assert stage.probe.called[1].body == {"id": 7, "all": ["no 7", True]}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HttpAnswer(500, None, 0.1), "POST /login answered 500, 200 was expected"),
        (HttpAnswer(200, None, 0.1), "POST /login answered 200 without JSON"),
        (HttpAnswer(200, {"user": {}}, 0.1), "POST /login: `user.name` is missing"),
        (
            HttpAnswer(200, {"user": {"name": True}}, 0.1),
            "POST /login: `user.name` is True, 'smoke' was expected",
        ),
        (
            HttpAnswer(200, {"user": {"name": "smoke"}, "token": "t"}, 0.1),
            "POST /login: `teams.0.id` is missing, which later steps need as team",
        ),
        (Unreachable("no answer within 30 s"), "POST /login: no answer within 30 s"),
        (Malformed("the answer is larger than a megabyte"), "POST /login: the answer is larger"),
    ],
)
def test_what_the_service_does_wrong_is_a_failure_and_ends_the_way(
    stage: Stage, answer: HttpAnswer | DeliveryError, words: str
) -> None:
    stage.say("POST /login", answer)
    result = stage.run(way(LOGIN, DASHBOARD))
    assert result.outcome is Outcome.FAILURE
    assert result.words.startswith(f"dashboard: {words}")
    assert len(stage.probe.called) == 1


def test_true_is_not_one(stage: Stage) -> None:
    stage.say("GET /x", HttpAnswer(200, {"ok": 1}, 0.1))
    assert stage.run(way(HttpStep("GET", "/x", expect={"ok": True}))).outcome is Outcome.FAILURE


@pytest.mark.parametrize("error", [Transient("no network"), Permanent("no address")])
def test_a_call_that_could_not_be_made_is_an_error(stage: Stage, error: DeliveryError) -> None:
    stage.say("POST /login", error)
    result = stage.run(way(LOGIN))
    assert result.outcome is Outcome.ERROR
    assert result.words == f"dashboard: POST /login could not be asked: {error}"


def test_a_secret_that_is_not_there_is_an_error_and_nothing_is_sent(stage: Stage) -> None:
    stage.secrets.clear()
    result = stage.run(way(LOGIN))
    assert result.outcome is Outcome.ERROR
    assert "there is no secret smoke-password" in result.words
    assert stage.probe.called == []


def test_a_place_that_nothing_filled_is_an_error_of_the_catalog(stage: Stage) -> None:
    result = stage.run(way(DASHBOARD))
    assert result.outcome is Outcome.ERROR
    assert "no earlier step saved `token`; correct it in the catalog" in result.words


def test_a_secret_that_the_service_echoes_is_not_shown(stage: Stage) -> None:
    stage.say("POST /login", HttpAnswer(200, {"user": {"name": f"not {PASSWORD}"}}, 0.1))
    result = stage.run(way(LOGIN))
    assert PASSWORD not in repr(result)
    assert "`user.name` is 'not •••'" in result.words


def test_a_secret_at_the_cut_of_a_long_answer_is_not_halved(stage: Stage) -> None:
    echoed = "x" * 70 + PASSWORD
    stage.say("POST /login", HttpAnswer(200, {"user": {"name": echoed}}, 0.1))
    assert PASSWORD[:5] not in repr(stage.run(way(LOGIN)))


def test_a_secret_that_is_written_otherwise_is_not_shown(stage: Stage) -> None:
    stage.secrets["smoke-password"] = "it's 'quoted' \\ here"
    echoed = f"basic {b64encode(b'smoke:' + stage.secrets['smoke-password'].encode()).decode()}"
    for name in (stage.secrets["smoke-password"], echoed):
        stage.say("POST /login", HttpAnswer(200, {"user": {"name": name}}, 0.1))
        words = stage.run(way(LOGIN)).words
        assert "quoted" not in words
        assert echoed[-12:] not in words
        assert "•••" in words


def test_a_session_that_an_earlier_call_gave_is_a_secret_where_a_header_carries_it(
    stage: Stage,
) -> None:
    session = "0123456789abcdef"
    stage.say("POST /login", HttpAnswer(200, {"token": session}, 0.1))
    stage.say("GET /me", HttpAnswer(200, {"you": f"are {session}"}, 0.1))
    login = replace(LOGIN, expect={}, save={"token": "token"})
    me = HttpStep("GET", "/me", headers={"Authorization": "Bearer {token}"}, expect={"you": "dana"})
    result = stage.run(way(login, me))
    assert "`you` is 'are •••', 'dana' was expected" in result.words
    assert session not in repr(result)


def test_every_test_is_run_so_that_all_reasons_are_seen_at_once(stage: Stage) -> None:
    stage.say("GET /a", HttpAnswer(500, None, 0.1))
    stage.say("GET /b", Transient("no network"))
    result = stage.run(
        way(HttpStep("GET", "/b"), name="b"),
        way(HttpStep("GET", "/a"), name="a"),
        way(HttpStep("GET", "/c"), name="c"),
    )
    assert result.outcome is Outcome.FAILURE
    assert result.words == (
        "a: GET /a answered 500, 200 was expected; b: GET /b could not be asked: no network"
    )


def test_a_way_that_takes_too_long_is_a_failure(stage: Stage) -> None:
    stage.time.seconds = 0
    late = way(HttpStep("GET", "/a"), HttpStep("GET", "/b"), seconds=0)
    result = stage.run(late)
    assert result.outcome is Outcome.FAILURE
    assert result.words == "dashboard: GET /a was not reached within 0 s"


def test_a_canceled_way_is_inconclusive(stage: Stage) -> None:
    stage.cancelled = True
    result = stage.run(way(LOGIN))
    assert (result.outcome, result.words) == (
        Outcome.INCONCLUSIVE,
        "dashboard: canceled before POST /login",
    )


def test_without_a_base_url_nothing_can_be_asked(stage: Stage) -> None:
    result = stage.run(way(LOGIN), base_url=None)
    assert result.outcome is Outcome.ERROR
    assert "dev has no `base_url`" in result.words


def test_a_service_without_smoke_tests_has_nothing_to_fail(stage: Stage) -> None:
    result = stage.run()
    assert result.outcome is Outcome.SUCCESS
    assert "there was nothing to run" in result.words


def test_a_container_is_judged_by_how_it_ended(stage: Stage) -> None:
    test = SmokeTest("browser", image="registry.test/browser:1")
    assert stage.run(test, base_url=None).outcome is Outcome.SUCCESS
    stage.ended = (Outcome.FAILURE, "job smoke-api failed: exit code 1")
    result = stage.run(test)
    assert result.outcome is Outcome.FAILURE
    assert result.words == "browser: job smoke-api failed: exit code 1"
