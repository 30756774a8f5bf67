"""Webhooks prove themselves, or count for nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from flowmaster_delivery.web.signature import Rejected, Secrets, verify

NOW = 1_700_000_000
KEY = b"thirty-two bytes of a secret key"
BOTH = Secrets("plain-token", "whsec_" + base64.b64encode(KEY).decode())
BODY = b'{"object_kind":"push"}'


def signed(body: bytes = BODY, at: int = NOW, key: bytes = KEY) -> dict[str, str]:
    text = f"msg-1.{at}.".encode() + body
    mark = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1a,other v1,{mark}",
    }


def test_the_standard_webhooks_test_vector_is_believed() -> None:
    """The example that the specification of Standard Webhooks publishes."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secrets = Secrets(None, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    verify(headers, b'{"test": 2432232314}', secrets, 1614265330)


def test_a_signed_webhook_is_believed() -> None:
    verify(signed(), BODY, BOTH, NOW + 299)


def test_without_a_signature_the_plain_token_is_believed() -> None:
    verify({"x-gitlab-token": "plain-token"}, BODY, BOTH, NOW)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(signed(key=b"another key"), BODY, id="signed with another key"),
        pytest.param(signed(), BODY + b" ", id="another body"),
        pytest.param({**signed(), "webhook-id": "msg-2"}, BODY, id="another id"),
        pytest.param(signed(at=NOW - 301), BODY, id="too old"),
        pytest.param(signed(at=NOW + 301), BODY, id="from the future"),
        pytest.param({**signed(), "webhook-timestamp": "soon"}, BODY, id="no time"),
        pytest.param({**signed(), "webhook-signature": ""}, BODY, id="empty signature"),
        pytest.param({"x-gitlab-token": "guess"}, BODY, id="another token"),
        pytest.param({"x-gitlab-token": "tokén"}, BODY, id="a token outside ASCII"),
        pytest.param({}, BODY, id="nothing at all"),
    ],
)
def test_what_does_not_prove_itself_is_rejected(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(Rejected) as rejected:
        verify(headers, body, BOTH, NOW)
    assert rejected.value.status == 401


def test_a_forged_signature_is_not_mended_by_a_right_token() -> None:
    forged = {**signed(key=b"another key"), "x-gitlab-token": "plain-token"}
    with pytest.raises(Rejected):
        verify(forged, BODY, BOTH, NOW)


def test_without_any_secret_nothing_is_believed() -> None:
    with pytest.raises(Rejected) as rejected:
        verify({"x-gitlab-token": ""}, BODY, Secrets(None, None), NOW)
    assert rejected.value.status == 503


def test_an_unusable_signing_token_closes_the_door() -> None:
    with pytest.raises(Rejected) as rejected:
        verify(signed(), BODY, Secrets(None, "whsec_no base64!"), NOW)
    assert rejected.value.status == 503


def test_unsigned_webhooks_are_rejected_where_only_signing_is_set_up() -> None:
    with pytest.raises(Rejected):
        verify({"x-gitlab-token": ""}, BODY, Secrets(None, BOTH.signing_token), NOW)
