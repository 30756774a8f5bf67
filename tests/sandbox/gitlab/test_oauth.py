"""Signing in elsewhere with the sandbox's GitLab: what an OpenID Connect client sees of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from flowmaster_delivery.sandbox.gitlab.oauth import (
    CODE_LASTS,
    TOKEN_LASTS,
    OAuthError,
    OAuthProvider,
    Wish,
    challenge_of,
)
from tests.sandbox.gitlab.stage import Stage

BACK = "http://127.0.0.1:1/oauth2/callback"
VERIFIER = "v" * 64


@dataclass
class Client:
    """An application registered with GitLab, as a browser and a server use it."""

    stage: Stage
    browser: httpx.Client
    uid: str
    secret: str

    def wish(self, **changed: str) -> dict[str, str]:
        given = {
            "client_id": self.uid,
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": "openid email",
            "state": "s&1",
            "nonce": "n1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**given, **changed}.items() if value}

    def page(self, **changed: str) -> httpx.Response:
        return self.browser.get("/oauth/authorize", params=self.wish(**changed))

    def sign_in(self, name: str, **changed: str) -> dict[str, str]:
        """What comes back to the application when somebody presses their button."""
        form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.page().text))
        values = {key: unescape(value) for key, value in form.items()} | changed
        answer = self.browser.post("/oauth/authorize", data={**values, "username": name})
        assert answer.status_code == 302, answer.text
        assert answer.headers["location"].startswith(BACK)
        found = parse_qs(urlsplit(answer.headers["location"]).query)
        return {key: value[0] for key, value in found.items()}

    def redeem(self, code: str, **changed: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        } | changed
        return self.browser.post("/oauth/token", data=form, auth=(self.uid, self.secret))

    def tokens(self, name: str) -> dict[str, Any]:
        answer = self.redeem(self.sign_in(name)["code"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refresh(self, text: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": text}
        return self.browser.post("/oauth/token", data=form, auth=(self.uid, self.secret))

    def userinfo(self, access_token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.browser.get("/oauth/userinfo", headers=headers)

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of an ID token, once its signature has been checked by the published key."""
        head, body, mark = token.split(".")
        kid = json.loads(_raw(head))["kid"]
        keys = self.browser.get("/oauth/discovery/keys").json()["keys"]
        (key,) = [one for one in keys if one["kid"] == kid]
        numbers = rsa.RSAPublicNumbers(*(int.from_bytes(_raw(key[n]), "big") for n in "en"))
        numbers.public_key().verify(
            _raw(mark), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        found: dict[str, Any] = json.loads(_raw(body))
        return found


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def register(stage: Stage, **changed: str) -> httpx.Response:
    body = {"name": "FlowMaster", "redirect_uri": BACK, "scopes": "openid email"} | changed
    headers = {"PRIVATE-TOKEN": stage.tokens["root"]}
    return httpx.post(f"{stage.url}/api/v4/applications", headers=headers, data=body, timeout=10)


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    made = register(stage).json()
    with httpx.Client(base_url=stage.url, timeout=10) as browser:
        yield Client(stage, browser, made["application_id"], made["secret"])


def test_what_there_is_can_be_discovered(client: Client) -> None:
    found = client.browser.get("/.well-known/openid-configuration").json()
    assert found["issuer"] == client.stage.url
    assert found["authorization_endpoint"] == f"{client.stage.url}/oauth/authorize"
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    assert found["code_challenge_methods_supported"] == ["S256"]


def test_only_an_administrator_registers_applications(client: Client) -> None:
    headers = {"PRIVATE-TOKEN": client.stage.tokens["dana"]}
    body = {"name": "mine", "redirect_uri": BACK, "scopes": "openid"}
    assert (
        client.browser.post("/api/v4/applications", headers=headers, data=body).status_code == 403
    )
    assert client.browser.get("/api/v4/applications", headers=headers).status_code == 403


@pytest.mark.parametrize("changed", [{"scopes": "openid api"}, {"redirect_uri": "javascript:x"}])
def test_an_application_that_cannot_be_is_refused(stage: Stage, changed: dict[str, str]) -> None:
    assert register(stage, **changed).status_code == 400


def test_an_applications_secret_is_told_once(client: Client) -> None:
    headers = {"PRIVATE-TOKEN": client.stage.tokens["root"]}
    listed = client.browser.get("/api/v4/applications?per_page=100", headers=headers).text
    assert client.uid in listed
    assert client.secret not in listed


def test_the_page_says_what_it_is_and_lists_who_may_sign_in(client: Client) -> None:
    client.stage.people["olaf"].state = "blocked"
    try:
        page = client.page()
    finally:
        client.stage.people["olaf"].state = "active"
    assert page.status_code == 200
    assert "sandbox" in page.text
    assert 'value="dana"' in page.text
    assert 'value="olaf"' not in page.text


def test_the_page_shows_what_it_was_sent_as_text(client: Client) -> None:
    page = client.page(state='"><script>alert(1)</script>').text
    assert "<script>" not in page


def test_who_signs_in_is_told_to_the_application(client: Client) -> None:
    found = client.sign_in("dana")
    assert found["state"] == "s&1"
    answer = client.redeem(found["code"])
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    dana = client.stage.people["dana"]
    claims = client.claims(tokens["id_token"])
    assert claims["iss"] == client.stage.url
    assert (claims["sub"], claims["aud"], claims["nonce"]) == (str(dana.id), client.uid, "n1")
    assert claims["exp"] - claims["iat"] == 120
    assert claims["groups_direct"] == ["flow-master"]
    assert "preferred_username" not in claims
    told = client.userinfo(tokens["access_token"]).json()
    assert (told["sub"], told["nickname"], told["preferred_username"]) == (
        str(dana.id),
        "dana",
        "dana",
    )
    assert (told["email"], told["email_verified"]) == ("dana@example.org", True)


def test_groups_are_told_with_those_that_one_is_in_through_another(client: Client) -> None:
    dana = client.userinfo(client.tokens("dana")["access_token"]).json()
    assert dana["groups"] == ["flow-master", "flow-master/seniors"]
    assert client.claims(client.tokens("sam")["id_token"])["groups_direct"] == [
        "flow-master",
        "flow-master/seniors",
    ]


def test_without_the_scope_no_address_is_told(client: Client) -> None:
    code = client.sign_in("dana", scope="openid")["code"]
    tokens = client.redeem(code).json()
    assert "email" not in client.claims(tokens["id_token"])
    assert "email" not in client.userinfo(tokens["access_token"]).json()


def test_a_signature_of_another_key_is_none(client: Client) -> None:
    head, body, _ = client.tokens("dana")["id_token"].split(".")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    mark = other.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    forged = base64.urlsafe_b64encode(mark).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        client.claims(f"{head}.{body}.{forged}")


@pytest.mark.parametrize(
    "changed", [{"client_id": "nobody"}, {"redirect_uri": "http://127.0.0.1:1/elsewhere"}]
)
def test_nobody_is_sent_where_no_application_is_registered(
    client: Client, changed: dict[str, str]
) -> None:
    answer = client.page(**changed)
    assert answer.status_code == 401
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid api"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
def test_a_request_that_asks_for_too_much_goes_back_with_an_error(
    client: Client, changed: dict[str, str], error: str
) -> None:
    answer = client.page(**changed)
    assert answer.status_code == 302
    assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == [error]


@pytest.mark.parametrize("name", ["nobody", ""])
def test_who_is_not_there_does_not_sign_in(client: Client, name: str) -> None:
    answer = client.browser.post("/oauth/authorize", data={**client.wish(), "username": name})
    assert answer.status_code == 401


def test_a_code_is_good_once(client: Client) -> None:
    code = client.sign_in("dana")["code"]
    assert client.redeem(code).status_code == 200
    again = client.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 64},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/elsewhere"},
    ],
)
def test_a_code_is_good_for_whom_it_was_given_to(client: Client, changed: dict[str, str]) -> None:
    answer = client.redeem(client.sign_in("dana")["code"], **changed)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_guessed_code_is_good_for_nothing(client: Client) -> None:
    assert client.redeem("guessed").json()["error"] == "invalid_grant"


def test_a_code_of_one_application_is_nothing_to_another(client: Client, stage: Stage) -> None:
    code = client.sign_in("dana")["code"]
    other = register(stage).json()
    answer = client.redeem(code, client_id=other["application_id"], client_secret=other["secret"])
    assert answer.status_code == 200, "the credentials of the header count, not those of the form"
    code = client.sign_in("dana")["code"]
    client.uid, client.secret = other["application_id"], other["secret"]
    assert client.redeem(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("secret", ["wrong", ""], ids=["another secret", "none"])
def test_an_application_without_its_secret_gets_nothing(client: Client, secret: str) -> None:
    code = client.sign_in("dana")["code"]
    client.secret = secret
    answer = client.redeem(code)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_credentials_may_stand_in_the_form(client: Client) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": client.sign_in("dana")["code"],
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        "client_id": client.uid,
        "client_secret": client.secret,
    }
    assert client.browser.post("/oauth/token", data=form).status_code == 200


def test_a_header_that_is_no_credentials_is_nobody(client: Client) -> None:
    answer = client.browser.post("/oauth/token", headers={"Authorization": "Basic %%%"})
    assert answer.json()["error"] == "invalid_client"


def test_no_other_kind_of_grant_is_given(client: Client) -> None:
    answer = client.redeem("", grant_type="password")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_a_refresh_token_is_good_once_and_gives_a_new_id_token(client: Client) -> None:
    first = client.tokens("dana")
    second = client.refresh(first["refresh_token"]).json()
    assert "nonce" not in client.claims(second["id_token"])
    assert client.userinfo(second["access_token"]).status_code == 200
    assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"


def test_who_was_blocked_is_nobody_from_then_on(client: Client) -> None:
    tokens, dana = client.tokens("dana"), client.stage.people["dana"]
    code = client.sign_in("dana")["code"]
    dana.state = "blocked"
    try:
        assert client.userinfo(tokens["access_token"]).status_code == 401
        assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert client.redeem(code).json()["error"] == "invalid_grant"
    finally:
        dana.state = "active"


def test_an_access_token_opens_nothing_but_what_it_is_for(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.tokens('dana')['access_token']}"}
    assert client.browser.get("/api/v4/user", headers=headers).status_code == 401
    assert client.userinfo("guessed").status_code == 401
    personal = client.userinfo(client.stage.tokens["dana"])
    assert personal.status_code == 401


def test_an_application_that_was_removed_is_nobody(client: Client) -> None:
    tokens = client.tokens("dana")
    headers = {"PRIVATE-TOKEN": client.stage.tokens["root"]}
    listed = client.browser.get("/api/v4/applications?per_page=100", headers=headers).json()
    (number,) = [one["id"] for one in listed if one["application_id"] == client.uid]
    gone = client.browser.delete(f"/api/v4/applications/{number}", headers=headers)
    assert gone.status_code == 204
    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert client.page().status_code == 401
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert (
        client.browser.delete(f"/api/v4/applications/{number}", headers=headers).status_code == 404
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/oauth/token"), ("PUT", "/oauth/authorize"), ("POST", "/oauth/discovery/keys")],
)
def test_no_endpoint_answers_another_method(client: Client, method: str, path: str) -> None:
    assert client.browser.request(method, path).status_code == 404


def test_time_ends_codes_and_access_tokens() -> None:
    provider, now = OAuthProvider(), datetime(2026, 1, 1, tzinfo=UTC)
    application, _ = provider.register(1, "FlowMaster", (BACK,), ("openid",))
    wish = Wish(application, BACK, ("openid",))
    late = provider.code_for(1, wish, now)
    with pytest.raises(OAuthError, match="invalid_grant"):
        provider.redeem(application, late, BACK, "", now + CODE_LASTS)
    code = provider.code_for(1, wish, now)
    tokens = provider.redeem(application, code, BACK, "", now + CODE_LASTS - timedelta(seconds=1))
    begun = now + CODE_LASTS - timedelta(seconds=1)
    assert provider.holder(tokens.access, begun + TOKEN_LASTS - timedelta(seconds=1)) is not None
    assert provider.holder(tokens.access, begun + TOKEN_LASTS) is None
    assert provider.refreshed(application, tokens.refresh, begun + 300 * TOKEN_LASTS).access
