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
PROGRAM = "/app/serve"
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
    program: bytes | None = None,
) -> str:
    """Push a new image of one tiny layer, as `docker push` would; return its digest.

    Two builds of the same source differ, as those of Docker do. With a static `program` it can be
    started; without one it is only looked at.
    """
    about = {"image": repository, "build": secrets.token_hex(8), **labels}
    tar = _layer(json.dumps(about, indent=2).encode(), program)
    layer = gzip.compress(tar, mtime=0)
    config = json.dumps(_config(labels, digest_of(tar), created)).encode()
    manifest = json.dumps(_manifest(config, layer), indent=3).encode()
    for blob in (config, layer):
        store.put_blob(repository, blob, digest_of(blob))
    for reference in (digest_of(manifest), *tags):
        store.put_manifest(repository, reference, DOCKER_MANIFEST, manifest)
    return digest_of(manifest)


def _layer(about: bytes, program: bytes | None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "etc/build.json", about, 0o644)
        if program is not None:
            _add(archive, PROGRAM.lstrip("/"), program, 0o755)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _config(labels: Mapping[str, str], diff_id: str, created: datetime) -> dict[str, object]:
    stamp = created.isoformat().replace("+00:00", "Z")
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": stamp,
        "config": {"Labels": dict(labels), "Cmd": [PROGRAM]},
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
