"""A registry that misbehaves: what it says is not believed further than it can be proven."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
from httpx import Headers

from flowmaster_delivery.adapters.oci_registry import OciRegistry
from flowmaster_delivery.adapters.oci_registry.client import RegistryClient
from flowmaster_delivery.adapters.oci_registry.door import Door
from flowmaster_delivery.adapters.wire import Answer, Patience, Wire
from flowmaster_delivery.model.errors import (
    DeliveryError,
    Denied,
    Malformed,
    NotFound,
    Refused,
    Throttled,
    Unreachable,
)
from tests.fakes.far_end import FarEnd, Reply

IMAGE = "group/app"
MANIFESTS = f"/v2/{IMAGE}/manifests"
KIND = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
QUICK = Patience(attempts=2, budget=1.0, first_pause=0.01)
UNKNOWN = Reply({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, 404)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


CONFIG = json.dumps({"config": {"Labels": {"org.opencontainers.image.revision": "abc"}}}).encode()
BLOB = f"/v2/{IMAGE}/blobs/{digest_of(CONFIG)}"
MANIFEST = json.dumps(
    {
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [{"digest": digest_of(b"layer"), "size": 100}],
    }
).encode()
DIGEST = digest_of(MANIFEST)


@pytest.fixture
def registry(far_end: FarEnd) -> Iterator[OciRegistry]:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(MANIFEST, headers=KIND))
    far_end.say(f"{MANIFESTS}/{DIGEST}", Reply(MANIFEST, headers=KIND))
    far_end.say(BLOB, Reply(CONFIG))
    registry = OciRegistry(
        far_end.url, user="ci", password=lambda: "secret", timeout=0.4, patience=QUICK
    )
    yield registry
    registry.close()


def authorizations(far_end: FarEnd) -> list[str | None]:
    return [asked.headers.get("Authorization") for asked in far_end.asked]


def test_an_image_is_read_with_two_requests(far_end: FarEnd, registry: OciRegistry) -> None:
    found = registry.digest_of(IMAGE, "v1.0.0")
    assert found is not None
    assert (found.digest, found.revision, found.size) == (DIGEST, "abc", len(CONFIG) + 100)
    assert far_end.paths() == [f"{MANIFESTS}/v1.0.0", BLOB]


@pytest.mark.parametrize("code", ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"])
def test_what_the_registry_says_it_has_not_is_none(
    far_end: FarEnd, registry: OciRegistry, code: str
) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply({"errors": [{"code": code}]}, 404))
    assert registry.digest_of(IMAGE, "v1.0.0") is None


@pytest.mark.parametrize("body", [b"<html>404</html>", b"", {"errors": []}, {"message": "no"}])
def test_a_404_that_is_not_a_registrys_is_no_absence(
    far_end: FarEnd, registry: OciRegistry, body: object
) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(body, 404))
    with pytest.raises(Malformed, match="registry's address"):
        registry.digest_of(IMAGE, "v1.0.0")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(b"", 500), Unreachable),
        (Reply(b"", 503), Unreachable),
        (Reply(b"", 429), Throttled),
        (Reply(hang_up=True), Unreachable),
        (Reply(MANIFEST, delay=0.6), Unreachable),
        (Reply(MANIFEST, cut=5), Unreachable),
    ],
)
def test_a_registry_that_fails_is_asked_twice_and_is_no_absence(
    far_end: FarEnd, registry: OciRegistry, reply: Reply, error: type[DeliveryError]
) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", reply)
    with pytest.raises(error):
        registry.digest_of(IMAGE, "v1.0.0")
    assert len(far_end.asked) == 2


def test_a_wait_that_the_registry_asks_for_is_passed_on(
    far_end: FarEnd, registry: OciRegistry
) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 429, {"Retry-After": "30"}))
    with pytest.raises(Throttled) as caught:
        registry.digest_of(IMAGE, "v1.0.0")
    assert caught.value.retry_after == 30


def test_a_registry_that_recovers_is_read(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 502), Reply(MANIFEST, headers=KIND))
    assert registry.digest_of(IMAGE, "v1.0.0") is not None


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"config": {}}', b'{"layers": "x"}'])
def test_a_manifest_of_another_form_is_malformed(
    far_end: FarEnd, registry: OciRegistry, body: bytes
) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(body, headers=KIND))
    with pytest.raises(Malformed):
        registry.digest_of(IMAGE, "v1.0.0")


def test_a_manifest_of_another_digest_is_not_used(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/{DIGEST}", Reply(MANIFEST + b" ", headers=KIND))
    with pytest.raises(Malformed, match="is not used"):
        registry.read(IMAGE, DIGEST)


def test_a_header_that_contradicts_the_bytes_is_not_believed(
    far_end: FarEnd, registry: OciRegistry
) -> None:
    lie = {**KIND, "Docker-Content-Digest": f"sha256:{'0' * 64}"}
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(MANIFEST, headers=lie))
    with pytest.raises(Malformed, match="is not used"):
        registry.digest_of(IMAGE, "v1.0.0")


def test_a_config_of_another_digest_is_not_used(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(BLOB, Reply(b"{}"))
    with pytest.raises(Malformed, match="another config"):
        registry.digest_of(IMAGE, "v1.0.0")


def test_a_manifest_that_is_too_long_is_not_read(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b" " * (5 * 1024 * 1024)))
    with pytest.raises(Malformed, match="more than"):
        registry.digest_of(IMAGE, "v1.0.0")


def test_a_token_service_elsewhere_does_not_get_our_password(
    far_end: FarEnd, registry: OciRegistry
) -> None:
    stranger = FarEnd()
    asks = {"WWW-Authenticate": f'Bearer realm="{stranger.url}/token",service="x"'}
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 401, asks))
    with pytest.raises(Denied, match="our password stays here"):
        registry.digest_of(IMAGE, "v1.0.0")
    stranger.close()
    assert stranger.asked == []


def test_a_token_service_that_is_trusted_gets_it_and_the_token_serves_again(
    far_end: FarEnd,
) -> None:
    gitlab = FarEnd()
    gitlab.say("/jwt/auth", Reply({"token": "t0k3n", "expires_in": 300}))
    asks = {"WWW-Authenticate": f'Bearer realm="{gitlab.url}/jwt/auth",service="registry"'}
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 401, asks), Reply(MANIFEST, headers=KIND))
    far_end.say(BLOB, Reply(CONFIG))
    registry = OciRegistry(
        far_end.url, user="ci", password=lambda: "secret", trusted=(gitlab.url,), patience=QUICK
    )
    registry.digest_of(IMAGE, "v1.0.0")
    registry.close()
    gitlab.close()
    (login,) = gitlab.asked
    assert login.query == {"service": ["registry"], "scope": ["repository:group/app:pull"]}
    basic = base64.b64encode(b"ci:secret").decode()
    assert login.headers["Authorization"] == f"Basic {basic}"
    assert authorizations(far_end) == [None, "Bearer t0k3n", "Bearer t0k3n"]


def test_a_token_that_ran_out_is_renewed(far_end: FarEnd, registry: OciRegistry) -> None:
    asks = {"WWW-Authenticate": f'Bearer realm="{far_end.url}/token",service="x"'}
    far_end.say("/token", Reply({"token": "first"}), Reply({"access_token": "second"}))
    far_end.say(
        f"{MANIFESTS}/v1.0.0",
        Reply(b"", 401, asks),
        UNKNOWN,
        Reply(b"", 401, asks),
        UNKNOWN,
    )
    assert registry.digest_of(IMAGE, "v1.0.0") is None
    assert registry.digest_of(IMAGE, "v1.0.0") is None
    sent = [a for a in authorizations(far_end) if a and a.startswith("Bearer")]
    assert sent == ["Bearer first", "Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    "token",
    [Reply({"errors": []}, 401), Reply({"token": ""}), Reply({"token": "a\nb"}), Reply(b"hello")],
)
def test_a_token_service_that_gives_none_is_permanent(
    far_end: FarEnd, registry: OciRegistry, token: Reply
) -> None:
    asks = {"WWW-Authenticate": f'Bearer realm="{far_end.url}/token",service="x"'}
    far_end.say("/token", token)
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 401, asks))
    with pytest.raises((Denied, Malformed)) as caught:
        registry.digest_of(IMAGE, "v1.0.0")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("asks", ["Negotiate", "", "Bearer"])
def test_a_challenge_that_we_cannot_answer_says_so(
    far_end: FarEnd, registry: OciRegistry, asks: str
) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 401, {"WWW-Authenticate": asks}))
    with pytest.raises((Denied, Malformed)):
        registry.digest_of(IMAGE, "v1.0.0")


def test_basic_authentication_is_answered(far_end: FarEnd, registry: OciRegistry) -> None:
    asks = {"WWW-Authenticate": 'Basic realm="registry"'}
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 401, asks), UNKNOWN)
    assert registry.digest_of(IMAGE, "v1.0.0") is None
    basic = base64.b64encode(b"ci:secret").decode()
    assert authorizations(far_end) == [None, f"Basic {basic}"]


def test_a_blob_elsewhere_is_fetched_without_our_credentials(
    far_end: FarEnd, registry: OciRegistry
) -> None:
    storage = FarEnd()
    storage.say("/bucket/config", Reply(CONFIG))
    asks = {"WWW-Authenticate": 'Basic realm="registry"'}
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 401, asks), Reply(MANIFEST, headers=KIND))
    far_end.say(BLOB, Reply(b"", 307, {"Location": f"{storage.url}/bucket/config?signature=x"}))
    found = registry.digest_of(IMAGE, "v1.0.0")
    storage.close()
    assert found is not None
    assert found.revision == "abc"
    assert authorizations(storage) == [None]


def test_a_manifest_elsewhere_is_not_fetched(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v1.0.0", Reply(b"", 307, {"Location": f"{far_end.url}/other"}))
    with pytest.raises(Malformed, match="307"):
        registry.digest_of(IMAGE, "v1.0.0")
    assert far_end.paths() == [f"{MANIFESTS}/v1.0.0"]


def test_blobs_that_redirect_in_a_circle_end(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(BLOB, Reply(b"", 307, {"Location": BLOB}))
    with pytest.raises(Malformed, match="307"):
        registry.digest_of(IMAGE, "v1.0.0")
    assert len(far_end.asked) == 5


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "127.0.0.1:2375", "localhost"])
def test_a_registry_leads_us_to_no_address_of_our_own_machine_or_link(host: str) -> None:
    """What answers there is not the registry's: a cloud's credentials, a daemon without a lock."""
    url = "https://registry.example"
    wire = Wire("the registry", url, timeout=1)
    door = Door(wire, url, user=None, password=lambda: None, trusted=())
    client = RegistryClient(url, wire, door, Patience(1))
    moved = Answer("GET", f"{url}{BLOB}", 307, Headers({"Location": f"https://{host}/x"}), b"")
    with pytest.raises(Malformed, match="it was not asked"):
        client._moved(moved, IMAGE)
    wire.close()


def test_a_file_is_no_place_for_a_blob(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(BLOB, Reply(b"", 307, {"Location": "file:///etc/passwd"}))
    with pytest.raises(Malformed, match="file"):
        registry.digest_of(IMAGE, "v1.0.0")


def test_a_tag_that_somebody_else_took_meanwhile_is_refused(
    far_end: FarEnd, registry: OciRegistry
) -> None:
    other = Reply(b'{"layers": []}', headers=KIND)
    far_end.say(f"{MANIFESTS}/v2.0.0", UNKNOWN, other)
    far_end.say(f"{MANIFESTS}/v2.0.0", Reply(status=201), method="PUT")
    with pytest.raises(Refused, match="never moves"):
        registry.tag(IMAGE, DIGEST, "v2.0.0")


def test_a_tag_whose_answer_was_lost_is_read_back(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v2.0.0", UNKNOWN, Reply(MANIFEST, headers=KIND))
    far_end.say(f"{MANIFESTS}/v2.0.0", Reply(hang_up=True), method="PUT")
    registry.tag(IMAGE, DIGEST, "v2.0.0")
    (put,) = [asked for asked in far_end.asked if asked.method == "PUT"]
    assert put.body == MANIFEST
    assert put.headers["Content-Type"] == KIND["Content-Type"]


def test_a_tag_that_was_not_written_is_unreachable(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v2.0.0", UNKNOWN)
    far_end.say(f"{MANIFESTS}/v2.0.0", Reply(b"", 503), method="PUT")
    with pytest.raises(Unreachable):
        registry.tag(IMAGE, DIGEST, "v2.0.0")


def test_a_tag_that_we_may_not_write_is_denied(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v2.0.0", UNKNOWN)
    refused = Reply({"errors": [{"code": "DENIED", "message": "read only"}]}, 403)
    far_end.say(f"{MANIFESTS}/v2.0.0", refused, method="PUT")
    with pytest.raises(Denied, match="read only"):
        registry.tag(IMAGE, DIGEST, "v2.0.0")


def test_an_image_that_is_gone_cannot_be_tagged(far_end: FarEnd, registry: OciRegistry) -> None:
    far_end.say(f"{MANIFESTS}/v2.0.0", UNKNOWN)
    far_end.say(f"{MANIFESTS}/{DIGEST}", UNKNOWN)
    with pytest.raises(NotFound):
        registry.tag(IMAGE, DIGEST, "v2.0.0")


BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"


@pytest.mark.parametrize(
    ("kind", "notes", "expected"),
    [
        ("application/vnd.dev.cosign.artifact.sig.v1+json", {}, True),
        ("application/vnd.cncf.notary.signature", {}, True),
        (BUNDLE, {"dev.sigstore.bundle.content": "message-signature"}, True),
        (BUNDLE, {"dev.sigstore.bundle.predicateType": SIGN}, True),
        (BUNDLE, {"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}, False),
        (BUNDLE, {}, False),
        ("application/spdx+json", {}, False),
    ],
)
def test_of_what_refers_to_an_image_only_signatures_are(
    far_end: FarEnd, registry: OciRegistry, kind: str, notes: dict[str, str], expected: bool
) -> None:
    entry = {"digest": DIGEST, "artifactType": kind, "annotations": notes}
    far_end.say(f"/v2/{IMAGE}/referrers/{DIGEST}", Reply({"manifests": [entry]}))
    far_end.say(f"{MANIFESTS}/{DIGEST.replace(':', '-')}.sig", UNKNOWN)
    assert registry.has_signature(IMAGE, DIGEST) is expected


def test_referrers_that_cannot_be_read_are_no_absence_of_a_signature(
    far_end: FarEnd, registry: OciRegistry
) -> None:
    far_end.say(f"/v2/{IMAGE}/referrers/{DIGEST}", Reply(b"", 503))
    with pytest.raises(Unreachable):
        registry.has_signature(IMAGE, DIGEST)
