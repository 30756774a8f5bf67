"""The sandbox's registry, spoken to as docker, cosign and the platform's own adapter do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from flowmaster_delivery.sandbox.registry import RegistrySandbox
from flowmaster_delivery.sandbox.registry.auth import LIFETIME, Scope, Tokens
from flowmaster_delivery.sandbox.registry.store import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
)

Client = Any
"""The `AppClient` of conftest, which importlib mode does not let a test import."""

HOST = "127.0.0.1:5000"
NAME = "flow-master/flowmaster-platform/api-gateway"
LABELS = {"org.opencontainers.image.revision": "a" * 40}
ACCEPT = {"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}"}


@pytest.fixture
def registry() -> RegistrySandbox:
    return RegistrySandbox(host=HOST, accounts=None)


@pytest.fixture
def client(registry: RegistrySandbox, client_of: Callable[..., Client]) -> Client:
    return client_of(registry.app, f"http://{HOST}")


@pytest.fixture
def guarded(client_of: Callable[..., Client]) -> Client:
    registry = RegistrySandbox(host=HOST, accounts=lambda user, token: (user, token) == ("ci", "t"))
    registry.push(NAME, tags=["v1.0.0"], labels=LABELS)
    return client_of(registry.app, f"http://{HOST}")


def push_blob(client: Client, content: bytes, name: str = NAME) -> str:
    digest = digest_of(content)
    answer = client.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=content)
    assert answer.status_code == 201, answer.text
    return digest


def manifest_of(config: str, **more: object) -> bytes:
    body: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
        "layers": [],
    }
    return json.dumps(body | more).encode()


def put(client: Client, reference: str, content: bytes, kind: str = OCI_MANIFEST) -> int:
    path = f"/v2/{NAME}/manifests/{reference}"
    return int(client.put(path, content=content, headers={"Content-Type": kind}).status_code)


def code(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["code"])


def test_an_image_that_ci_pushed_can_be_read_by_tag_and_by_digest(
    registry: RegistrySandbox, client: Client
) -> None:
    digest = registry.push(NAME, tags=["v1.0.0", "main"], labels=LABELS)
    by_tag = client.get(f"/v2/{NAME}/manifests/v1.0.0", headers=ACCEPT)
    by_digest = client.head(f"/v2/{NAME}/manifests/{digest}", headers=ACCEPT)
    assert by_tag.headers["docker-content-digest"] == digest == digest_of(by_tag.content)
    assert by_digest.status_code == 200
    assert by_digest.headers["content-length"] == str(len(by_tag.content))
    config = client.get(f"/v2/{NAME}/blobs/{by_tag.json()['config']['digest']}").json()
    assert config["config"]["Labels"] == LABELS


def test_two_builds_of_the_same_source_differ(registry: RegistrySandbox) -> None:
    first = registry.push(NAME, tags=["develop"], labels=LABELS)
    assert registry.push(NAME, tags=["develop"], labels=LABELS) != first


def test_references_resolve_by_tag_digest_and_latest(registry: RegistrySandbox) -> None:
    digest = registry.push(f"{HOST}/{NAME}", tags=["v1.0.0", "latest"], labels={})
    for suffix in ("", ":v1.0.0", f"@{digest}", f":v1.0.0@{digest}"):
        assert registry.resolve(f"{HOST}/{NAME}{suffix}") == digest


@pytest.mark.parametrize(
    "reference",
    [
        f"{HOST}/{NAME}:v9.9.9",
        f"{HOST}/{NAME}@sha256:{'0' * 64}",
        f"{HOST}/flow-master/nothing:v1.0.0",
        f"registry.example.com/{NAME}:v1.0.0",
        "nginx",
    ],
)
def test_what_the_registry_does_not_have_does_not_resolve(
    registry: RegistrySandbox, reference: str
) -> None:
    registry.push(NAME, tags=["v1.0.0"], labels={})
    assert registry.resolve(reference) is None


def test_a_tag_moves_to_another_manifest_and_the_old_digest_stays(
    registry: RegistrySandbox, client: Client
) -> None:
    old = registry.push(NAME, tags=["develop"], labels={})
    new = registry.push(NAME, tags=["develop"], labels={})
    answer = client.head(f"/v2/{NAME}/manifests/develop", headers=ACCEPT)
    assert answer.headers["docker-content-digest"] == new
    assert client.head(f"/v2/{NAME}/manifests/{old}", headers=ACCEPT).status_code == 200


def test_retagging_puts_the_same_bytes_under_another_tag(
    registry: RegistrySandbox, client: Client
) -> None:
    digest = registry.push(NAME, tags=["staging"], labels={})
    staging = client.get(f"/v2/{NAME}/manifests/staging", headers=ACCEPT)
    assert put(client, "v1.1.0", staging.content, DOCKER_MANIFEST) == 201
    assert registry.resolve(f"{HOST}/{NAME}:v1.1.0") == digest


def test_blobs_upload_in_one_piece_in_chunks_and_by_mount(client: Client) -> None:
    digest = push_blob(client, b"one piece")
    begun = client.post(f"/v2/{NAME}/blobs/uploads/")
    place = begun.headers["location"]
    chunk = client.patch(place, content=b"two ", headers={"Content-Range": "0-3"})
    assert (chunk.status_code, chunk.headers["range"]) == (202, "0-3")
    ended = client.put(f"{place}?digest={digest_of(b'two chunks')}", content=b"chunks")
    assert ended.status_code == 201
    mounted = client.post(f"/v2/other/image/blobs/uploads/?mount={digest}&from={NAME}")
    assert mounted.status_code == 201
    assert client.get(f"/v2/other/image/blobs/{digest}").content == b"one piece"


def test_mounting_what_the_source_lacks_begins_an_upload(client: Client) -> None:
    answer = client.post(f"/v2/{NAME}/blobs/uploads/?mount=sha256:{'0' * 64}&from=other")
    assert answer.status_code == 202


def test_a_chunk_out_of_order_is_refused(client: Client) -> None:
    place = client.post(f"/v2/{NAME}/blobs/uploads/").headers["location"]
    answer = client.patch(place, content=b"late", headers={"Content-Range": "7-10"})
    assert (answer.status_code, code(answer)) == (416, "RANGE_INVALID")


def test_a_blob_whose_digest_is_wrong_is_refused(client: Client) -> None:
    answer = client.post(f"/v2/{NAME}/blobs/uploads/?digest=sha256:{'0' * 64}", content=b"x")
    assert (answer.status_code, code(answer)) == (400, "DIGEST_INVALID")


def test_an_upload_that_nobody_began_is_unknown(client: Client) -> None:
    answer = client.patch(f"/v2/{NAME}/blobs/uploads/nobody", content=b"x")
    assert (answer.status_code, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    "content",
    [b"no json", b"[]", b"{}", b'{"schemaVersion": 1}', b'{"schemaVersion": 2}'],
    ids=["text", "list", "empty", "schema 1", "no config"],
)
def test_a_manifest_that_is_none_is_refused(client: Client, content: bytes) -> None:
    assert put(client, "v1", content) == 400


def test_a_manifest_of_unknown_blobs_is_refused(client: Client) -> None:
    path = f"/v2/{NAME}/manifests/v1"
    content = manifest_of("sha256:" + "0" * 64)
    answer = client.put(path, content=content, headers={"Content-Type": OCI_MANIFEST})
    assert (answer.status_code, code(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_a_manifest_under_another_digest_is_refused(client: Client) -> None:
    config = push_blob(client, b"{}")
    assert put(client, "sha256:" + "1" * 64, manifest_of(config)) == 400


def test_an_oversized_manifest_is_refused(client: Client) -> None:
    assert put(client, "v1", b" " * (4 * 1024 * 1024 + 1)) == 413


def test_an_oci_manifest_is_only_for_who_asks_for_one(client: Client) -> None:
    assert put(client, "v1", manifest_of(push_blob(client, b"{}"))) == 201
    answer = client.get(f"/v2/{NAME}/manifests/v1", headers={"Accept": "*/*"})
    assert (answer.status_code, code(answer)) == (404, "MANIFEST_UNKNOWN")
    assert client.get(f"/v2/{NAME}/manifests/v1", headers=ACCEPT).status_code == 200


def test_an_index_needs_its_manifests(client: Client) -> None:
    manifest = manifest_of(push_blob(client, b"{}"))
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(manifest), "size": len(manifest)}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    assert put(client, "multi", index, OCI_INDEX) == 400
    assert put(client, digest_of(manifest), manifest) == 201
    assert put(client, "multi", index, OCI_INDEX) == 201


def test_a_signature_is_found_by_its_subject(registry: RegistrySandbox, client: Client) -> None:
    image = registry.push(NAME, tags=["v1"], labels={})
    subject = {"mediaType": DOCKER_MANIFEST, "digest": image, "size": 1}
    kind = "application/vnd.dev.cosign.artifact.sig.v1+json"
    signature = manifest_of(push_blob(client, b"{}"), subject=subject, artifactType=kind)
    assert put(client, digest_of(signature), signature) == 201
    place = f"/v2/{NAME}/referrers/{image}"
    found = client.get(place, params={"artifactType": kind})
    assert [m["digest"] for m in found.json()["manifests"]] == [digest_of(signature)]
    assert found.headers["oci-filters-applied"] == "artifactType"
    assert client.get(place, params={"artifactType": "other"}).json()["manifests"] == []


def test_tags_are_listed_in_pages_that_link_to_the_next(
    registry: RegistrySandbox, client: Client
) -> None:
    registry.push(NAME, tags=["c", "a", "b"], labels={})
    first = client.get(f"/v2/{NAME}/tags/list?n=2")
    link = re.fullmatch(r"<(.+)>; rel=\"next\"", first.headers["link"])
    assert link is not None
    second = client.get(link[1])
    assert (first.json()["tags"], second.json()["tags"]) == (["a", "b"], ["c"])
    assert "link" not in second.headers


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("nobody/knows/tags/list", 404, "NAME_UNKNOWN"),
        (f"{NAME}/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        ("Upper/Case/tags/list", 400, "NAME_INVALID"),
        ("a..b/manifests/v1", 400, "NAME_INVALID"),
        (f"{NAME}/manifests/none", 404, "MANIFEST_UNKNOWN"),
        (f"{NAME}/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        (f"{NAME}/blobs/sha256:short", 400, "DIGEST_INVALID"),
        (f"{NAME}/referrers/v1", 400, "DIGEST_INVALID"),
    ],
)
def test_faults_come_in_the_form_of_the_specification(
    registry: RegistrySandbox, client: Client, path: str, status: int, expected: str
) -> None:
    registry.push(NAME, tags=["v1"], labels={})
    answer = client.get(f"http://{HOST}/v2/{path}", headers=ACCEPT)
    assert (answer.status_code, code(answer)) == (status, expected)


def test_deleting_a_tag_keeps_the_manifest_and_deleting_the_manifest_takes_its_tags(
    registry: RegistrySandbox, client: Client
) -> None:
    digest = registry.push(NAME, tags=["a", "b"], labels={})
    assert client.delete(f"/v2/{NAME}/manifests/a").status_code == 202
    assert registry.resolve(f"{HOST}/{NAME}@{digest}") == digest
    assert client.delete(f"/v2/{NAME}/manifests/{digest}").status_code == 202
    assert registry.resolve(f"{HOST}/{NAME}:b") is None


def login(client: Client, user: str, token: str, scope: str) -> str:
    basic = base64.b64encode(f"{user}:{token}".encode()).decode()
    answer = client.get(
        "/jwt/auth",
        params={"service": "container_registry", "scope": scope},
        headers={"Authorization": f"Basic {basic}"},
    )
    return str(answer.json().get("token", answer.status_code))


def test_a_stranger_is_told_where_to_get_a_token(guarded: Client) -> None:
    answer = guarded.get(f"/v2/{NAME}/manifests/v1.0.0", headers=ACCEPT)
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
    asked = answer.headers["www-authenticate"]
    assert f'realm="http://{HOST}/jwt/auth"' in asked
    assert f'scope="repository:{NAME}:pull"' in asked


def test_a_token_opens_what_it_was_asked_for_and_nothing_else(guarded: Client) -> None:
    headers = {"Authorization": "Bearer " + login(guarded, "ci", "t", f"repository:{NAME}:pull")}
    assert guarded.get("/v2/", headers=headers).status_code == 200
    path = f"/v2/{NAME}/manifests/v1.0.0"
    assert guarded.get(path, headers=ACCEPT | headers).status_code == 200
    refused = guarded.delete(path, headers=headers)
    assert refused.status_code == 401
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    other = guarded.get("/v2/flow-master/other/tags/list", headers=headers)
    assert other.status_code == 401


def test_wrong_credentials_get_no_token(guarded: Client) -> None:
    assert login(guarded, "ci", "wrong", f"repository:{NAME}:pull") == "401"


def test_a_token_for_nobody_opens_nothing(guarded: Client) -> None:
    token = guarded.get(f"/jwt/auth?scope=repository:{NAME}:pull").json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert guarded.get(f"/v2/{NAME}/tags/list", headers=headers).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "Ünicode"], ids=repr)
def test_a_forged_token_opens_nothing(token: str) -> None:
    assert Tokens().scopes(token) is None


def test_a_token_ends() -> None:
    now = [1000.0]
    tokens = Tokens(clock=lambda: now[0])
    token = tokens.issue("ci", [Scope("a", frozenset({"pull"}))])
    assert tokens.scopes(token) == (Scope("a", frozenset({"pull"})),)
    now[0] += LIFETIME + 1
    assert tokens.scopes(token) is None


def test_an_image_contains_and_starts_the_program_that_it_is_made_of() -> None:
    registry = RegistrySandbox(host="r:5000", accounts=None, program=b"a program")
    digest = registry.push("group/api", tags=["1"], labels={"v": "1"})
    manifest = json.loads(registry.store.manifest("group/api", digest).content)
    config = json.loads(_blob(registry, manifest["config"]["digest"]))
    layer = gzip.decompress(_blob(registry, manifest["layers"][0]["digest"]))
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        [command] = config["config"]["Cmd"]
        entry = files.getmember(command.lstrip("/"))
        content = files.extractfile(entry)
        assert content is not None
        assert (content.read(), entry.mode) == (b"a program", 0o755)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def _blob(registry: RegistrySandbox, digest: str) -> bytes:
    return registry.store.blob("group/api", digest)
