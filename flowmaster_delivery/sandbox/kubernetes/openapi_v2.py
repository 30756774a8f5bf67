"""The OpenAPI 2 document that kubectl before 1.27 asks for, in protobuf: Debian 12's is 1.20.

It has no schemas (kubectl then validates nothing) and says which kinds take `dryRun`, without which
`kubectl diff` refuses to work. Source of the field numbers: gnostic's `OpenAPIv2.proto`.
"""

from __future__ import annotations

import json

from flowmaster_delivery.sandbox.kubernetes.kinds import KINDS, Kind

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""With `@v1.0`, as kubectl asks for it, its own parser of media types refuses the answer."""
LENGTH_DELIMITED = 2
"""Protobuf's wire type of everything that is in here."""


def document(title: str, version: str) -> bytes:
    """A whole `Document`: swagger (1), info (2), paths (8)."""
    info = _field(1, title) + _field(2, version)
    paths = b"".join(_field(2, _named(f"/{kind.plural}", _path(kind))) for kind in KINDS)
    return _field(1, "2.0") + _field(2, info) + _field(8, paths)


def _path(kind: Kind) -> bytes:
    """A `PathItem` with nothing but its patch (8): parameters (8) and extension (13)."""
    group = {"group": kind.group, "kind": kind.kind, "version": kind.version}
    named = _named("x-kubernetes-group-version-kind", _field(2, json.dumps(group)))
    return _field(8, _field(8, _query_parameter("dryRun")) + _field(13, named))


def _query_parameter(name: str) -> bytes:
    """A `ParametersItem`: parameter (1) that is no body (2) but stands in the query (3)."""
    parameter = _field(2, "query") + _field(4, name)
    return _field(1, _field(2, _field(3, parameter)))


def _named(name: str, value: bytes) -> bytes:
    return _field(1, name) + _field(2, value)


def _field(number: int, value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
