"""The UI behind its login: GitLab asks who it is, the proxy says so, the coordinator decides."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.stories.login import HEADER, OPERATORS, Browser, House, Login, house, oauth2_proxy

pytestmark = pytest.mark.timeout(600)

FORGED = {
    "X-Forwarded-Preferred-Username": "sam",
    "X_Forwarded_Preferred_Username": "sam",
    "x-forwarded_preferred-username": "sam",
    "X-Forwarded-User": "sam",
    "X-Forwarded-Email": "sam@flow-master.example",
    "X-Forwarded-Groups": OPERATORS,
    "X-Auth-Request-User": "sam",
    "X-Auth-Request-Preferred-Username": "sam",
    "X-Forwarded-Access-Token": "guessed",
    "Authorization": "Bearer guessed",
    "X-Forwarded-For": "127.0.0.1",
    "X-Real-IP": "127.0.0.1",
}
"""What a caller may send to become somebody else."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("login"), oauth2_proxy()) as built:
        yield built


@pytest.fixture(scope="module")
def login(built: House) -> Iterator[Login]:
    with built.proxy() as login:
        yield login


@pytest.fixture(scope="module")
def sam(built: House, login: Login) -> Browser:
    """Signed in; one of production's operators."""
    browser = built.browser(login.url)
    assert browser.sign_in("sam").status_code == 200
    return browser


@pytest.fixture(scope="module")
def dana(built: House, login: Login) -> Browser:
    """Signed in; a developer."""
    browser = built.browser(login.url)
    assert browser.sign_in("dana").status_code == 200
    return browser


@pytest.fixture
def stranger(built: House, login: Login) -> Browser:
    return built.browser(login.url)


def test_whoever_signs_in_comes_to_the_page_that_they_wanted(stranger: Browser) -> None:
    page = stranger.sign_in("sofia", "/locations?x=1")
    assert page.status_code == 200
    assert str(page.url) == f"{stranger.url}/locations?x=1"
    assert "Dagster" in page.text


def test_an_operator_launches_production_in_their_own_name(sam: Browser) -> None:
    run = sam.launched("production")
    assert run.status == "QUEUED", run.words
    assert run.asked_by == "sam"


def test_somebody_else_is_refused_in_words(dana: Browser) -> None:
    run = dana.launched("production")
    assert run.status == "FAILURE"
    assert "candidate of service-0 in production, asked for by dana" in run.words
    assert f"dana is not a member of {OPERATORS}" in run.words
    assert "ask one of that group" in run.words


def test_a_developer_launches_what_goes_by_itself(dana: Browser) -> None:
    run = dana.launched("dev")
    assert (run.status, run.asked_by) == ("QUEUED", "dana")


def test_without_a_login_nothing_is_answered(built: House, stranger: Browser) -> None:
    page = stranger.client.get(f"{stranger.url}/runs", follow_redirects=False)
    assert page.status_code == 302
    assert page.headers["location"].startswith(f"{built.sandbox.gitlab_url}/oauth/authorize")
    assert stranger.graphql("query { version }").status_code == 401
    report = stranger.client.post(
        f"{stranger.url}/report_asset_materialization/service-0/promotion", follow_redirects=False
    )
    assert report.status_code == 302


def test_headers_alone_make_nobody(stranger: Browser) -> None:
    assert stranger.graphql("query { version }", FORGED).status_code == 401
    page = stranger.client.get(f"{stranger.url}/runs", headers=FORGED, follow_redirects=False)
    assert page.status_code == 302


def test_whoever_signed_in_becomes_nobody_else_by_headers(dana: Browser) -> None:
    for name, value in FORGED.items():
        run = dana.launched("production", {name: value})
        assert (run.status, run.asked_by) == ("FAILURE", "dana"), name
    run = dana.launched("production", FORGED)
    assert (run.status, run.asked_by) == ("FAILURE", "dana")


@pytest.mark.parametrize("connection", [f"close, {HEADER}", f"keep-alive, {HEADER.lower()}"])
def test_whoever_hides_their_name_does_nothing(dana: Browser, connection: str) -> None:
    """The proxy leaves out what `Connection` names: then nobody asks, who may do nothing."""
    answer = dana.launch("dev", {"Connection": connection})
    assert answer["__typename"] == "UnauthorizedError"


def test_production_takes_no_backfill(sam: Browser) -> None:
    query = """mutation { launchPartitionBackfill(backfillParams: {
      partitionNames: ["production"], assetSelection: [{path: ["service-0", "promotion"]}]}) {
      __typename } }"""
    assert sam.ask(query)["__typename"] == "UnauthorizedError"


def test_evidence_cannot_be_removed_by_a_click(sam: Browser) -> None:
    run = sam.launched("production")
    delete = "mutation($id: String!) { deleteRun(runId: $id) { __typename } }"
    assert sam.ask(delete, id=run.id)["__typename"] == "UnauthorizedError"
    wipe = """mutation { wipeAssets(assetPartitionRanges: [
      {assetKey: {path: ["service-0", "promotion"]}}]) { __typename } }"""
    assert sam.ask(wipe)["__typename"] == "UnauthorizedError"


def test_only_an_operator_terminates_a_run(sam: Browser, dana: Browser) -> None:
    run = sam.launched("production")
    query = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
    assert dana.ask(query, id=run.id)["__typename"] == "TerminateRunFailure"
    assert sam.ask(query, id=run.id)["__typename"] == "TerminateRunSuccess"


def subscribe(browser: Browser, run: str, origin: str | None = None) -> str:
    """The type of the first message about a run that the UI's websocket brings."""
    query = """subscription($id: ID!) { pipelineRunLogs(runId: $id) { __typename } }"""
    start = {"type": "start", "id": "1", "payload": {"query": query, "variables": {"id": run}}}
    with connect(
        f"{browser.url.replace('http:', 'ws:')}/graphql",
        additional_headers={"Cookie": browser.cookies},
        origin=origin,  # type: ignore[arg-type]
        subprotocols=[Subprotocol("graphql-ws")],
        proxy=None,
        open_timeout=30,
    ) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(30))["type"] == "connection_ack"
        socket.send(json.dumps(start))
        found = json.loads(socket.recv(30))
        return str(found["payload"]["data"]["pipelineRunLogs"]["__typename"])


def test_the_uis_websocket_passes(dana: Browser) -> None:
    run = dana.launched("dev")
    assert subscribe(dana, run.id) == "PipelineRunLogsSubscriptionSuccess"
    assert subscribe(dana, run.id, dana.url) == "PipelineRunLogsSubscriptionSuccess"


def test_no_websocket_passes_without_a_login_or_from_another_site(
    dana: Browser, stranger: Browser
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        subscribe(stranger, "x")
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as foreign:
        subscribe(dana, "x", "https://other.example")
    assert foreign.value.response.status_code == 403


def test_a_foreign_page_changes_nothing_with_somebodys_session(dana: Browser) -> None:
    query = "mutation { reloadWorkspace { __typename } }"
    for headers in ({"Sec-Fetch-Site": "same-site"}, {"Origin": "https://other.example"}):
        assert dana.graphql(query, headers).status_code == 403


def test_the_session_is_kept_from_scripts_and_foreign_pages(stranger: Browser) -> None:
    page = stranger.sign_in("devi")
    (answer,) = [r for r in page.history if "_oauth2_proxy=" in r.headers.get("set-cookie", "")]
    (cookie,) = [c for c in answer.headers.get_list("set-cookie") if c.startswith("_oauth2_proxy=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_whoever_signs_out_is_out(stranger: Browser) -> None:
    stranger.sign_in("devi")
    assert stranger.graphql("query { version }").status_code == 200
    stranger.client.get(f"{stranger.url}/oauth2/sign_out", follow_redirects=False)
    assert stranger.graphql("query { version }").status_code == 401


@pytest.mark.parametrize("changed", ["cut", "turned", "another's"])
def test_a_session_that_was_tampered_with_is_none(
    built: House, dana: Browser, stranger: Browser, changed: str
) -> None:
    (cookie,) = [c for c in dana.client.cookies.jar if c.name == "_oauth2_proxy"]
    value, at, mark = str(cookie.value).split("|")
    made = {
        "cut": f"{value[:-8]}|{at}|{mark}",
        "turned": f"{value}|{int(at) + 3600}|{mark}",
        "another's": f"{'A' * len(value)}|{at}|{mark}",
    }[changed]
    headers = {"Cookie": f"_oauth2_proxy={made}"}
    assert stranger.graphql("query { version }", headers).status_code == 401


def test_a_session_ends_by_itself(built: House) -> None:
    with built.proxy("--cookie-expire=2s", "--cookie-refresh=0") as login:
        browser = built.browser(login.url)
        browser.sign_in("devi")
        end = time.monotonic() + 30
        cookie = {"Cookie": browser.cookies}
        while httpx.get(
            f"{login.url}/graphql?query={{version}}", headers=cookie, trust_env=False
        ).is_success:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert browser.graphql("query { version }", cookie).status_code == 401


def test_who_may_sign_in_is_a_group(built: House) -> None:
    with built.proxy(group=OPERATORS) as login:
        assert built.browser(login.url).sign_in("sam").status_code == 200
        dana = built.browser(login.url)
        assert dana.sign_in("dana").status_code == 403
        assert dana.graphql("query { version }").status_code == 401


def test_who_was_blocked_in_gitlab_loses_the_session(built: House) -> None:
    with built.proxy("--cookie-refresh=1s") as login:
        browser = built.browser(login.url)
        browser.sign_in("devi")
        devi = next(u["id"] for u in built.forge("GET", "/users?username=devi").json())
        assert built.forge("POST", f"/users/{devi}/block").is_success
        try:
            end = time.monotonic() + 30
            while browser.graphql("query { version }").status_code == 200:
                assert time.monotonic() < end
                time.sleep(0.2)
            assert browser.graphql("query { version }").status_code == 401
            asked = browser.client.get(f"{login.url}/")
            assert 'value="devi"' not in asked.text
        finally:
            built.forge("POST", f"/users/{devi}/unblock")


def test_whoever_is_no_operator_any_more_is_refused_at_once(built: House, login: Login) -> None:
    sergio = built.browser(login.url)
    sergio.sign_in("sergio")
    assert sergio.launched("production").status == "QUEUED"
    number = next(u["id"] for u in built.forge("GET", "/users?username=sergio").json())
    group = OPERATORS.replace("/", "%2F")
    assert built.forge("DELETE", f"/groups/{group}/members/{number}").is_success
    try:
        run = sergio.launched("production")
        assert run.status == "FAILURE"
        assert "sergio is not a member" in run.words
    finally:
        form = {"user_id": str(number), "access_level": "40"}
        assert built.forge("POST", f"/groups/{group}/members", **form).is_success


def test_while_gitlab_is_away_production_is_refused_with_its_reason(
    built: House, sam: Browser
) -> None:
    built.fault("POST", server="gitlab", match="/api/v4/groups/*", status=503)
    try:
        run = sam.launched("production")
        assert run.status == "FAILURE"
        assert "whether they may is not known" in run.words
        assert sam.launched("dev").status == "QUEUED"
    finally:
        built.fault("DELETE", server="gitlab")
    assert sam.launched("production").status == "QUEUED"


def test_no_secret_stands_in_arguments_variables_or_logs(
    built: House, login: Login, sam: Browser
) -> None:
    assert sam.graphql("query { version }").status_code == 200
    process = Path(f"/proc/{login.pid}")
    seen = [login.log.read_bytes(), (built.folder / "webserver.log").read_bytes()]
    if process.exists():
        seen += [(process / name).read_bytes() for name in ("cmdline", "environ")]
    text = b"".join(seen).decode(errors="replace")
    assert "AuthSuccess" in text
    for secret in (*built.secrets, built.sandbox.gitlab_token):
        assert secret not in text
    assert "code=" not in text
