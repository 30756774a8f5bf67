"""Protobuf bodies: whatever comes, it is an object or a ValueError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmaster_delivery.sandbox.kubernetes.protobuf import MAGIC, read_object


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def body(kind: bytes, raw: bytes) -> bytes:
    head = field(1, b"v1") + field(2, kind)
    return MAGIC + field(1, head) + field(2, raw)


def test_a_namespace_is_read() -> None:
    metadata = field(1, b"dev") + field(11, field(1, b"team") + field(2, b"shop"))
    assert read_object(body(b"Namespace", field(1, metadata))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "dev", "labels": {"team": "shop"}},
    }


def test_unknown_fields_are_passed_over() -> None:
    raw = field(1, field(1, b"a")) + field(9, b"new")
    assert read_object(body(b"ConfigMap", raw))["metadata"] == {"name": "a"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        MAGIC,
        body(b"Pod", b""),
        body(b"ConfigMap", field(1, b"\xff")),
        body(b"ConfigMap", b"\x0a\x7f"),
        body(b"ConfigMap", b"\x08\x01"),
        body(b"ConfigMap", b"\x0d\x00\x00\x00\x00"),
        MAGIC + field(2, b"x"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object(data)


@given(st.binary(max_size=60), st.sampled_from([b"Deployment", b"Service", b"Secret"]))
def test_noise_never_does_worse_than_a_refusal(noise: bytes, kind: bytes) -> None:
    try:
        item = read_object(body(kind, noise))
    except ValueError:
        return
    assert item["kind"] == kind.decode()
