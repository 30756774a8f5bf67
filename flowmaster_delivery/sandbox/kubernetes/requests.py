"""What a request asks for: its target by path, its options by query, its body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from flowmaster_delivery.sandbox.kubernetes.kinds import BY_PATH, Kind
from flowmaster_delivery.sandbox.kubernetes.protobuf import read_object
from flowmaster_delivery.sandbox.kubernetes.selectors import field_selector, label_selector
from flowmaster_delivery.sandbox.kubernetes.statuses import (
    ApiError,
    bad_request,
    no_such_path,
    unprocessable,
)
from flowmaster_delivery.sandbox.kubernetes.watching import Question

LARGEST_BODY = 3 * 1024 * 1024
"""Bytes; what a real API server takes."""

PROTOBUF = "application/vnd.kubernetes.protobuf"
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
"""Go's spelling of booleans; the Python client sends `True`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A resource, one object of it, or a subresource with the path below it."""

    kind: Kind
    namespace: str
    name: str
    subresource: str
    rest: str = ""


def target(path: str) -> Target:
    """Read `/apis/apps/v1/namespaces/dev/deployments/api/scale`; raise 404 for unknown paths."""
    steps = path.strip("/").split("/")
    if steps[0] == "api" and len(steps) >= 3:
        group, version, steps = "", steps[1], steps[2:]
    elif steps[0] == "apis" and len(steps) >= 4:
        group, version, steps = steps[1], steps[2], steps[3:]
    else:
        raise no_such_path()
    namespace = ""
    if steps[0] == "namespaces" and len(steps) >= 3 and (group, version, steps[2]) in BY_PATH:
        namespace, steps = steps[1], steps[2:]
    kind = BY_PATH.get((group, version, steps[0]))
    if kind is None or (namespace and not kind.namespaced):
        raise no_such_path()
    name, subresource = (*steps[1:3], "", "")[:2]
    if name and kind.namespaced and not namespace:
        raise no_such_path()
    return Target(kind, namespace, name, subresource, "/".join(steps[3:]))


def flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "")
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise bad_request(f'strconv.ParseBool: parsing "{value}": invalid syntax')


def figure(query: Mapping[str, str], name: str) -> int:
    """A whole number of the query, 0 where it is not given."""
    value = query.get(name, "") or "0"
    if not value.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    return int(value)


def is_dry_run(query: Mapping[str, str], body: Mapping[str, Any] | None = None) -> bool:
    asked = query.get("dryRun", "") or "".join((body or {}).get("dryRun") or [])
    if asked not in ("", "All"):
        raise unprocessable(f'dryRun: Unsupported value: "{asked}": supported values: "All"')
    return asked == "All"


def question(asked: Target, query: Mapping[str, str]) -> Question:
    """Selectors of a list or watch; a name in the path is one more."""
    labels = label_selector(query.get("labelSelector", ""))
    fields = field_selector(asked.kind, query.get("fieldSelector", ""))
    return Question(
        asked.kind,
        asked.namespace,
        lambda item: (
            labels(item["metadata"].get("labels", {}))
            and fields(item)
            and asked.name in ("", item["metadata"]["name"])
        ),
    )


def wants_table(request: Request) -> str:
    """Which objects the rows of the table should carry; empty where no table is wanted."""
    if "as=Table" not in request.headers.get("accept", ""):
        return ""
    return request.query_params.get("includeObject", "Metadata")


def writer(request: Request) -> str:
    """Whom changed fields are noted for: `fieldManager`, else the program of the user agent."""
    agent = request.headers.get("user-agent", "").partition("/")[0]
    return request.query_params.get("fieldManager", "") or agent or "unknown"


async def read_body(request: Request) -> bytes:
    """The body; raise 413 where it is larger than the limit."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            words = f"Request entity too large: limit is {LARGEST_BODY}"
            raise ApiError(413, "RequestEntityTooLarge", words)
        chunks.append(chunk)
    return b"".join(chunks)


async def read_json(request: Request) -> Any:
    """The body's object, None where there is none. Raise 415 for other formats, 400 for faults."""
    body = await read_body(request)
    if not body:
        return None
    kind = content_type(request)
    try:
        if kind == PROTOBUF:
            return read_object(body)
        if not kind or "json" in kind:
            return json.loads(body)
    except ValueError as error:
        raise bad_request(f"the body cannot be read as {kind or 'JSON'}: {error}") from error
    words = "the body of the request was in an unknown format - accepted media types include: "
    raise ApiError(415, "UnsupportedMediaType", words + f"application/json, {PROTOBUF}")


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip()
