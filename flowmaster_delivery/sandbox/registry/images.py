"""Images made by the sandbox's pipelines, and references to them as they stand in manifests."""

from __future__ import annotations

import gzip
import io
import json
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowmaster_delivery.sandbox.registry.store import DOCKER_MANIFEST, Store, digest_of

CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, slots=True)
class Reference:
    """`host/path[:tag][@digest]`; tag `latest` where neither stands there."""

    host: str
    path: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        host, _, rest = text.partition("/")
        named, _, digest = rest.partition("@")
        path, _, tag = named.partition(":")
        if not tag and not digest:
            tag = "latest"
        return cls(host, path, tag or None, digest or None)


def build(
    store: Store,
    repository: str,
    *,
    tags: Sequence[str],
    labels: Mapping[str, str],
    created: datetime,
) -> str:
    """Push a new image of one tiny layer, as `docker push` would; return its digest.

    Two builds of the same source differ, as those of Docker do.
    """
    tar = _layer(repository, labels)
    layer = gzip.compress(tar, mtime=0)
    config = json.dumps(_config(labels, digest_of(tar), created)).encode()
    manifest = json.dumps(_manifest(config, layer), indent=3).encode()
    for blob in (config, layer):
        store.put_blob(repository, blob, digest_of(blob))
    for reference in (digest_of(manifest), *tags):
        store.put_manifest(repository, reference, DOCKER_MANIFEST, manifest)
    return digest_of(manifest)


def _layer(repository: str, labels: Mapping[str, str]) -> bytes:
    about = {"image": repository, "build": secrets.token_hex(8), **labels}
    content = json.dumps(about, indent=2).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("etc/build.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _config(labels: Mapping[str, str], diff_id: str, created: datetime) -> dict[str, object]:
    stamp = created.isoformat().replace("+00:00", "Z")
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": stamp,
        "config": {"Labels": dict(labels), "Cmd": ["/app/serve"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": stamp, "created_by": "flowmaster sandbox build"}],
    }


def _manifest(config: bytes, layer: bytes) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": _descriptor(CONFIG_TYPE, config),
        "layers": [_descriptor(LAYER_TYPE, layer)],
    }


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(content), "digest": digest_of(content)}
