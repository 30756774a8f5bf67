"""The registry's JSON, as far as it is used: what is not named here is ignored."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.image import OURS

S = TypeVar("S", bound=BaseModel)

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

REVISION = "org.opencontainers.image.revision"
LABELS_LIMIT = 16 * 1024
"""Bytes of all labels of ours on one image."""

SIGNATURES = (
    "application/vnd.dev.cosign.artifact.sig.v1+json",
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.cncf.notary.signature",
)
BUNDLE = "application/vnd.dev.sigstore.bundle"
BUNDLE_CONTENT = "dev.sigstore.bundle.content"
BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"


class Platform(BaseModel):
    architecture: str = ""
    os: str = ""


class Descriptor(BaseModel):
    digest: str
    size: int = 0
    media_type: str = Field("", alias="mediaType")
    artifact_type: str | None = Field(None, alias="artifactType")
    annotations: dict[str, str] | None = None
    platform: Platform | None = None

    @property
    def is_signature(self) -> bool:
        """By cosign or notation; an attestation or a list of parts is none."""
        kind = self.artifact_type or ""
        if not kind.startswith(BUNDLE):
            return kind in SIGNATURES
        notes = self.annotations or {}
        signed = notes.get(BUNDLE_CONTENT) == "message-signature"
        return signed or notes.get(BUNDLE_PREDICATE) == SIGN_PREDICATE


class Manifest(BaseModel):
    """An image manifest (`config`, `layers`) or an index of them (`manifests`)."""

    config: Descriptor | None = None
    layers: list[Descriptor] = []
    manifests: list[Descriptor] = []
    annotations: dict[str, str] | None = None

    @property
    def size(self) -> int | None:
        """Bytes of the compressed image; None for an index."""
        if self.config is None:
            return None
        return self.config.size + sum(layer.size for layer in self.layers)

    @property
    def default(self) -> Descriptor | None:
        """Of an index, what a common server pulls: linux/amd64, else its first image."""
        images = [m for m in self.manifests if m.platform is None or m.platform.os != "unknown"]
        common = Platform(architecture="amd64", os="linux")
        return next((m for m in images if m.platform == common), images[0] if images else None)


class ContainerConfig(BaseModel):
    labels: dict[str, str] | None = Field(None, alias="Labels")


class Config(BaseModel):
    config: ContainerConfig | None = None
    created: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        return (self.config.labels if self.config else None) or {}


def own_labels(config: Config, what: str) -> dict[str, str]:
    """The labels that are ours; Malformed where they are larger than anybody needs."""
    found = {name: value for name, value in config.labels.items() if name.startswith(OURS)}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in found.items())
    if size > LABELS_LIMIT:
        raise Malformed(
            f"the labels {OURS}… of {what} are of {size} bytes, at most {LABELS_LIMIT} are read; "
            "let a script in the image do what a label spells out"
        )
    return found


class Fault(BaseModel):
    code: str
    message: str | None = None


class Faults(BaseModel):
    errors: list[Fault]


class TokenAnswer(BaseModel):
    """GitLab says `token`, others `access_token`; `expires_in` is in seconds."""

    token: str = ""
    access_token: str = ""
    expires_in: float = 60.0


def parsed(shape: type[S], body: bytes, what: str) -> S:
    """Raise Malformed, naming the first thing wrong, where the JSON is not of that shape."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise Malformed(f"{what} is odd: {where}: {first['msg']}") from error


def faults(body: bytes) -> tuple[Fault, ...]:
    """The faults of an error answer; none where it is not of the specification's form."""
    try:
        return tuple(Faults.model_validate_json(body).errors)
    except ValidationError:
        return ()
