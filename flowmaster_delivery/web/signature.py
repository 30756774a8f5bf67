"""Whether a webhook comes from our GitLab: its signature where there is one, else its plain token.

Signatures follow Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, keyed with the bytes that
the signing token (`whsec_` and base64) stands for. Every comparison takes constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE = 300
"""Seconds by which a signed webhook's timestamp may differ from our clock."""
PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What GitLab's hooks are set up with; None where that kind of proof is not in use."""

    token: str | None
    signing_token: str | None


class Rejected(Exception):
    """A webhook that does not count. `status` is the HTTP answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets, now: float) -> None:
    """Raise Rejected unless the webhook proves itself. `now` is in seconds of the Unix clock.

    Without any secret configured nothing is believed.
    """
    if not secrets.token and not secrets.signing_token:
        raise Rejected(503, "no webhook secret is configured here; set one, and the same in GitLab")
    if "webhook-signature" in headers and secrets.signing_token:
        _verify_signature(headers, body, secrets.signing_token, now)
    elif secrets.token:
        _verify_token(headers.get("x-gitlab-token", ""), secrets.token)
    else:
        raise Rejected(401, "this webhook is not signed; set the signing token of the hook")


def _verify_signature(headers: Mapping[str, str], body: bytes, token: str, now: float) -> None:
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdigit():
        raise Rejected(401, "the webhook's timestamp is missing or is not a number")
    if abs(now - int(stamp)) > TOLERANCE:
        raise Rejected(401, f"the webhook's timestamp is more than {TOLERANCE} s off; too late")
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    digest = hmac.new(_key(token), signed, hashlib.sha256).digest()
    expected = base64.b64encode(digest)
    given = headers["webhook-signature"].split()
    matches = [
        hmac.compare_digest(value.encode(), expected)
        for version, _, value in (entry.partition(",") for entry in given)
        if version == "v1"
    ]
    if not any(matches):
        raise Rejected(401, "the webhook's signature is not ours")


def _verify_token(given: str, token: str) -> None:
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Rejected(401, "the webhook's token is not ours; set the secret token of the hook")


def _key(token: str) -> bytes:
    try:
        return base64.b64decode(token.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise Rejected(
            503, "the webhook signing token configured here is not whsec_ and base64"
        ) from error
