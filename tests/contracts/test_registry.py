"""The registry adapter against the sandbox's registry and Debian's docker-registry."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from flowmaster_delivery.adapters.oci_registry import OciRegistry
from flowmaster_delivery.adapters.wire import Patience
from flowmaster_delivery.model.errors import Denied, Malformed, NotFound, Refused
from flowmaster_delivery.sandbox.hosting import bind, port_of
from flowmaster_delivery.sandbox.registry import RegistrySandbox
from tests.fakes.served import served

IMAGE = "flow-master/flowmaster-platform/api-gateway"
COMMIT = "a" * 40
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
PASSWORD = "the-ci-password"
QUICK = Patience(attempts=2, budget=2, first_pause=0.01)
PROGRAM = "docker-registry"


@dataclass
class Target:
    """A running registry, and a plain client that pushes to it as docker does."""

    url: str
    push: httpx.Client

    def blob(self, content: bytes, image: str = IMAGE) -> dict[str, object]:
        digest = digest_of(content)
        place = self.push.post(f"/v2/{image}/blobs/uploads/").headers["Location"]
        joint = "&" if "?" in place else "?"
        answer = self.push.put(f"{place}{joint}digest={digest}", content=content)
        assert answer.status_code == 201, answer.text
        return {"digest": digest, "size": len(content)}

    def manifest(self, document: dict[str, object], reference: str = "", image: str = IMAGE) -> str:
        content = json.dumps({"schemaVersion": 2, **document}).encode()
        digest = digest_of(content)
        path = f"/v2/{image}/manifests/{reference or digest}"
        kind = str(document["mediaType"])
        answer = self.push.put(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code == 201, answer.text
        return digest

    def image(
        self,
        tag: str = "",
        *,
        note: str = "",
        revision: str | None = COMMIT,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """An image of one layer; its labels name the commit, and what else is said."""
        labels = dict(labels or {})
        if revision:
            labels["org.opencontainers.image.revision"] = revision
        about = {"created": "2026-11-23T05:00:00Z", "config": {"Labels": labels}, "note": note}
        config = self.blob(json.dumps(about).encode())
        layer = self.blob(b"layer of 17 bytes")
        document: dict[str, object] = {
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": CONFIG, **config},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **layer}],
        }
        return self.manifest(document, tag)

    def artifact(self, subject: str, kind: str, tag: str = "") -> str:
        """Something attached to an image: by `subject`, and by a tag where one is given."""
        empty = self.blob(b"{}")
        document: dict[str, object] = {
            "mediaType": OCI_MANIFEST,
            "artifactType": kind,
            "config": {"mediaType": EMPTY, **empty},
            "layers": [{"mediaType": EMPTY, **empty}],
            "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1},
        }
        return self.manifest(document, tag)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def sandbox(_: Path) -> Iterator[str]:
    bound = bind()
    host = f"127.0.0.1:{port_of(bound)}"
    with served(RegistrySandbox(host=host, accounts=None).app, bound):
        yield f"http://{host}"


@contextmanager
def debian(folder: Path) -> Iterator[str]:
    program = shutil.which(PROGRAM)
    if program is None:
        missing = f"no {PROGRAM} on this machine (Debian: apt-get install {PROGRAM})"
        if os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    bound = bind()
    port = port_of(bound)
    bound.close()
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            await_answer(f"http://127.0.0.1:{port}/v2/")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def await_answer(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within 10 s")


@pytest.fixture(scope="module", params=[sandbox, debian], ids=["sandbox", "docker-registry"])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    with (
        request.param(tmp_path_factory.mktemp("registry")) as url,
        httpx.Client(base_url=url, trust_env=False) as push,
    ):
        yield Target(url, push)


@pytest.fixture
def registry(target: Target) -> Iterator[OciRegistry]:
    registry = OciRegistry(target.url, timeout=5, patience=QUICK)
    yield registry
    registry.close()


def test_whether_we_may_read_and_write_is_asked_without_a_trace(
    target: Target, registry: OciRegistry
) -> None:
    image = "flow-master/flowmaster-platform/never-pushed"
    registry.check_pull(image)
    registry.check_push(image)
    listed = target.push.get(f"/v2/{image}/tags/list")
    assert (listed.status_code, (listed.json().get("tags") or [])) in ((404, []), (200, []))


def test_an_image_is_found_by_tag_with_its_commit_and_size(
    target: Target, registry: OciRegistry
) -> None:
    digest = target.image("aaaaaaaa")
    found = registry.digest_of(IMAGE, "aaaaaaaa")
    assert found is not None
    assert (found.digest, found.revision) == (digest, COMMIT)
    assert found.created == "2026-11-23T05:00:00Z"
    assert found.size is not None
    assert found.size > 17


def test_an_image_is_found_by_digest(target: Target, registry: OciRegistry) -> None:
    digest = target.image("by-digest", note="by digest")
    found = registry.read(IMAGE, digest)
    assert found is not None
    assert found.digest == digest


def test_an_image_without_labels_has_no_revision(target: Target, registry: OciRegistry) -> None:
    target.image("unlabelled", revision=None)
    found = registry.digest_of(IMAGE, "unlabelled")
    assert found is not None
    assert found.revision is None


def test_an_image_tells_of_itself_in_the_labels_that_are_ours(
    target: Target, registry: OciRegistry
) -> None:
    ours = {"ai.flowmaster.migration.before": "11", "ai.flowmaster.schema.schema": "12"}
    digest = target.image("declared", labels={**ours, "io.buildpacks.metadata": "x" * 40_000})
    found = registry.read(IMAGE, digest)
    assert found is not None
    assert found.labels == ours


def test_labels_of_ours_that_are_larger_than_anybody_needs_are_malformed(
    target: Target, registry: OciRegistry
) -> None:
    digest = target.image("large", labels={"ai.flowmaster.migration.up": "x" * 20_000})
    with pytest.raises(Malformed, match="at most 16384 are read"):
        registry.read(IMAGE, digest)


def test_an_index_keeps_its_own_digest_and_tells_the_labels_of_its_image(
    target: Target, registry: OciRegistry
) -> None:
    inner = target.image(note="inner")
    size = len(target.push.get(f"/v2/{IMAGE}/manifests/{inner}").content)
    entry: dict[str, object] = {"mediaType": OCI_MANIFEST, "digest": inner, "size": size}
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    index = target.manifest({"mediaType": OCI_INDEX, "manifests": [entry]}, "many")
    found = registry.digest_of(IMAGE, "many")
    assert found is not None
    assert (found.digest, found.revision) == (index, COMMIT)


def test_a_tag_that_is_not_there_is_none(target: Target, registry: OciRegistry) -> None:
    target.image("there")
    assert registry.digest_of(IMAGE, "not-there") is None


def test_a_repository_that_is_not_there_is_none(registry: OciRegistry) -> None:
    assert registry.digest_of("nobody/pushed/this", "v1.0.0") is None


def test_a_digest_that_is_not_there_is_none(target: Target, registry: OciRegistry) -> None:
    target.image("there")
    assert registry.read(IMAGE, f"sha256:{'0' * 64}") is None


def test_a_version_becomes_a_tag_of_the_same_digest(target: Target, registry: OciRegistry) -> None:
    digest = target.image("staging", note="release")
    registry.tag(IMAGE, digest, "v1.2.3")
    found = registry.digest_of(IMAGE, "v1.2.3")
    assert found is not None
    assert found.digest == digest


def test_tagging_again_changes_nothing(target: Target, registry: OciRegistry) -> None:
    digest = target.image(note="twice")
    registry.tag(IMAGE, digest, "v1.3.0")
    registry.tag(IMAGE, digest, "v1.3.0")
    found = registry.digest_of(IMAGE, "v1.3.0")
    assert found is not None
    assert found.digest == digest


def test_a_version_never_moves_to_another_image(target: Target, registry: OciRegistry) -> None:
    first, second = target.image(note="first"), target.image(note="second")
    registry.tag(IMAGE, first, "v1.4.0")
    with pytest.raises(Refused, match="never moves"):
        registry.tag(IMAGE, second, "v1.4.0")
    found = registry.digest_of(IMAGE, "v1.4.0")
    assert found is not None
    assert found.digest == first


def test_an_image_that_is_not_there_cannot_be_tagged(target: Target, registry: OciRegistry) -> None:
    target.image("there")
    with pytest.raises(NotFound, match=r"cannot be tagged v1\.5\.0"):
        registry.tag(IMAGE, f"sha256:{'0' * 64}", "v1.5.0")


def test_an_index_is_tagged_as_the_index_that_it_is(target: Target, registry: OciRegistry) -> None:
    inner = target.image(note="inner of release")
    entry: dict[str, object] = {"mediaType": OCI_MANIFEST, "digest": inner, "size": 1}
    entry["platform"] = {"architecture": "arm64", "os": "linux"}
    index = target.manifest({"mediaType": OCI_INDEX, "manifests": [entry]})
    registry.tag(IMAGE, index, "v1.6.0")
    found = registry.digest_of(IMAGE, "v1.6.0")
    assert found is not None
    assert found.digest == index


def test_an_image_without_anything_attached_has_no_signature(
    target: Target, registry: OciRegistry
) -> None:
    assert registry.has_signature(IMAGE, target.image(note="bare")) is False


def test_cosigns_own_tag_is_a_signature(target: Target, registry: OciRegistry) -> None:
    digest = target.image(note="signed by tag")
    kind = "application/vnd.dev.cosign.artifact.sig.v1+json"
    target.artifact(digest, kind, tag=f"{digest.replace(':', '-')}.sig")
    assert registry.has_signature(IMAGE, digest) is True


def test_the_referrers_tag_lists_signatures_where_the_registry_has_no_referrers(
    target: Target, registry: OciRegistry
) -> None:
    digest = target.image(note="signed by referrers' tag")
    kind = "application/vnd.cncf.notary.signature"
    signature = target.artifact(digest, kind)
    entry = {"mediaType": OCI_MANIFEST, "digest": signature, "size": 1, "artifactType": kind}
    listed: dict[str, object] = {"mediaType": OCI_INDEX, "manifests": [entry]}
    target.manifest(listed, digest.replace(":", "-"))
    assert registry.has_signature(IMAGE, digest) is True


def test_a_list_of_parts_is_no_signature(target: Target, registry: OciRegistry) -> None:
    digest = target.image(note="with sbom")
    target.artifact(digest, "application/spdx+json")
    assert registry.has_signature(IMAGE, digest) is False


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("../../etc", "v1"),
        ("Upper/Case", "v1"),
        ("a//b", "v1"),
        ("a/b?x=1", "v1"),
        (IMAGE, "feature/x"),
        (IMAGE, "v1.0.0+build"),
        (IMAGE, ""),
        (IMAGE, ".."),
        (IMAGE, "x" * 129),
    ],
)
def test_a_name_that_no_image_can_have_is_refused_before_asking(
    registry: OciRegistry, image: str, tag: str
) -> None:
    with pytest.raises(Malformed, match="cannot be the"):
        registry.digest_of(image, tag)


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """GitLab's token flow, which Debian's registry speaks only with a token server beside it."""
    bound = bind()
    host = f"127.0.0.1:{port_of(bound)}"
    box = RegistrySandbox(host=host, accounts=lambda *known: known == ("ci", PASSWORD))
    box.push(IMAGE, tags=["v1.0.0"], labels={"org.opencontainers.image.revision": COMMIT})
    with served(box.app, bound):
        yield f"http://{host}"


def test_a_guarded_registry_is_entered_with_a_token_that_serves_again(guarded: str) -> None:
    asked: list[tuple[str, str]] = []
    registry = OciRegistry(
        guarded,
        user="ci",
        password=lambda: PASSWORD,
        on_request=lambda method, path: asked.append((method, path)),
    )
    found = registry.digest_of(IMAGE, "v1.0.0")
    assert found is not None
    registry.tag(IMAGE, found.digest, "v1.0.1")
    registry.digest_of(IMAGE, "v1.0.1")
    registry.close()
    assert [path for _, path in asked].count("/jwt/auth") == 2, "one to pull, one to push"


@pytest.mark.parametrize(("user", "password"), [("ci", "wrong"), (None, None)])
def test_a_guarded_registry_says_what_to_check(
    guarded: str, user: str | None, password: str | None
) -> None:
    registry = OciRegistry(guarded, user=user, password=lambda: password)
    with pytest.raises(Denied, match="FLOWMASTER_REGISTRY_USER") as caught:
        registry.digest_of(IMAGE, "v1.0.0")
    registry.close()
    assert "wrong" not in str(caught.value)
