"""Kubernetes' protobuf, as far as `kubectl create` speaks it: the body as the JSON object it means.

Source of the field numbers: the `generated.proto` files of k8s.io/api and k8s.io/apimachinery.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowmaster_delivery.sandbox.kubernetes.kinds import Object

MAGIC = b"k8s\x00"


class Malformed(ValueError):
    """A body that is not what it says it is."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message; `kind` is text, number, flag, bytes, int_or_text or a message."""

    name: str
    kind: str = "text"
    is_list: bool = False
    is_map: bool = False


def _map(name: str, kind: str = "text") -> Field:
    return Field(name, kind, is_map=True)


def _list(name: str, kind: str = "text") -> Field:
    return Field(name, kind, is_list=True)


MESSAGES: dict[str, dict[int, Field]] = {
    "Unknown": {1: Field("typeMeta", "TypeMeta"), 2: Field("raw", "bytes")},
    "TypeMeta": {1: Field("apiVersion"), 2: Field("kind")},
    "ObjectMeta": {
        1: Field("name"),
        2: Field("generateName"),
        3: Field("namespace"),
        11: _map("labels"),
        12: _map("annotations"),
        14: _list("finalizers"),
    },
    "Namespace": {1: Field("metadata", "ObjectMeta")},
    "ServiceAccount": {1: Field("metadata", "ObjectMeta")},
    "ConfigMap": {
        1: Field("metadata", "ObjectMeta"),
        2: _map("data"),
        3: _map("binaryData", "bytes"),
    },
    "Secret": {1: Field("metadata", "ObjectMeta"), 2: _map("data", "bytes"), 3: Field("type")},
    "Service": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "ServiceSpec")},
    "ServiceSpec": {
        1: _list("ports", "ServicePort"),
        2: _map("selector"),
        3: Field("clusterIP"),
        4: Field("type"),
    },
    "ServicePort": {
        1: Field("name"),
        2: Field("protocol"),
        3: Field("port", "number"),
        4: Field("targetPort", "int_or_text"),
    },
    "Deployment": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "DeploymentSpec")},
    "DeploymentSpec": {
        1: Field("replicas", "number"),
        2: Field("selector", "LabelSelector"),
        3: Field("template", "PodTemplateSpec"),
    },
    "LabelSelector": {1: _map("matchLabels")},
    "Job": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "JobSpec")},
    "JobSpec": {
        1: Field("parallelism", "number"),
        2: Field("completions", "number"),
        3: Field("activeDeadlineSeconds", "number"),
        6: Field("template", "PodTemplateSpec"),
        7: Field("backoffLimit", "number"),
    },
    "PodTemplateSpec": {1: Field("metadata", "ObjectMeta"), 2: Field("spec", "PodSpec")},
    "PodSpec": {2: _list("containers", "Container"), 3: Field("restartPolicy")},
    "Container": {
        1: Field("name"),
        2: Field("image"),
        3: _list("command"),
        4: _list("args"),
        6: _list("ports", "ContainerPort"),
        14: Field("imagePullPolicy"),
    },
    "ContainerPort": {1: Field("name"), 3: Field("containerPort", "number"), 4: Field("protocol")},
    "IntOrString": {
        1: Field("type", "number"),
        2: Field("number", "number"),
        3: Field("text"),
    },
}
CREATED = frozenset(
    {"ConfigMap", "Deployment", "Job", "Namespace", "Secret", "Service", "ServiceAccount"}
)
"""Kinds that can be read."""


def read_object(body: bytes) -> Object:
    """The object in the body. Raise Malformed for anything that is not one of `CREATED`."""
    if not body.startswith(MAGIC):
        raise Malformed("the body does not begin as Kubernetes' protobuf does")
    envelope = _message("Unknown", body[len(MAGIC) :])
    head = envelope.get("typeMeta", {})
    if head.get("kind") not in CREATED:
        raise Malformed(f"{head.get('kind')} is not read from protobuf here")
    return {**head, **_message(head["kind"], base64.b64decode(envelope.get("raw", "")))}


def _message(name: str, data: bytes) -> Object:
    fields = MESSAGES[name]
    read: Object = {}
    for number, value in _wire(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.is_map:
            key, content = _entry(field.kind, value)
            read.setdefault(field.name, {})[key] = content
        elif field.is_list:
            read.setdefault(field.name, []).append(_value(field.kind, value))
        elif (content := _value(field.kind, value)) != "":
            read[field.name] = content
    return read


def _entry(kind: str, data: Any) -> tuple[str, Any]:
    parts = dict(_wire(_bytes(data)))
    return _bytes(parts.get(1, b"")).decode(), _value(kind, parts.get(2, b""))


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "text":
            return _bytes(value).decode()
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "number":
            if not isinstance(value, int):
                raise Malformed("a number was expected")
            return value - (1 << 64) if value >> 63 else value
        case "int_or_text":
            read = _message("IntOrString", _bytes(value))
            return read.get("text", "") if read.get("type") else read.get("number", 0)
    return _message(kind, _bytes(value))


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("text or a message was expected")
    return value


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of one message. Raise Malformed where it is cut off."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
        elif key & 7 == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise Malformed("the message is cut off")
            yield key >> 3, data[at : at + size]
            at += size
        else:
            raise Malformed(f"wire type {key & 7} is not used by Kubernetes")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Malformed("the message is cut off")
