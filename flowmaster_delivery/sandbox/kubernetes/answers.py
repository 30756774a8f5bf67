"""The verbs of the API: what is read, written and answered for each of them."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flowmaster_delivery.sandbox.kubernetes import patching
from flowmaster_delivery.sandbox.kubernetes.kinds import NAMESPACES, Kind, Object, name_of
from flowmaster_delivery.sandbox.kubernetes.requests import (
    Target,
    content_type,
    figure,
    flag,
    is_dry_run,
    question,
    read_body,
    read_json,
    wants_table,
    writer,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Resources
from flowmaster_delivery.sandbox.kubernetes.selectors import as_text
from flowmaster_delivery.sandbox.kubernetes.statuses import (
    ApiError,
    bad_request,
    conflict,
    no_such_path,
    success,
    unprocessable,
)
from flowmaster_delivery.sandbox.kubernetes.tables import table
from flowmaster_delivery.sandbox.kubernetes.watching import Watches


def as_json(content: Any, code: int = 200) -> Response:
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(body, code, media_type="application/json")


class Answers:
    """Handles requests for stored objects."""

    def __init__(self, resources: Resources, watches: Watches) -> None:
        self._resources = resources
        self._store = resources.store
        self._watches = watches

    async def handle(self, request: Request, asked: Target) -> Response:
        """Answer by method; raise 405 for a method that the target does not have."""
        self._check_subresource(asked)
        match request.method, bool(asked.name):
            case "GET", _ if flag(request.query_params, "watch"):
                return self._watch(request, asked)
            case "GET", True:
                return self._get(request, asked)
            case "GET", False:
                return self._list(request, asked)
            case "POST", False:
                return await self._create(request, asked)
            case "PUT", True:
                return await self._put(request, asked)
            case "PATCH", True:
                return await self._patch(request, asked)
            case "DELETE", True:
                return await self._delete(request, asked)
            case "DELETE", False:
                return await self._delete_collection(request, asked)
        raise ApiError(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )

    def _check_subresource(self, asked: Target) -> None:
        offered = {"": True, "status": asked.kind.has_status, "scale": asked.kind.has_scale}
        if not offered.get(asked.subresource):
            raise no_such_path()

    def _get(self, request: Request, asked: Target) -> Response:
        item = self._store.get(asked.kind, asked.namespace, asked.name)
        if asked.subresource == "scale":
            return as_json(scale_of(item))
        if include := wants_table(request):
            version = item["metadata"]["resourceVersion"]
            now = self._resources.clock()
            return as_json(table(asked.kind, [item], version, now, include=include))
        return as_json(item)

    def _list(self, request: Request, asked: Target) -> Response:
        query = request.query_params
        sought = question(asked, query)
        found = self._store.all(asked.kind, asked.namespace)
        items = [item for item in found if sought.matches(item)]
        items, metadata = self._page(items, query)
        if include := wants_table(request):
            now = self._resources.clock()
            made = table(asked.kind, items, str(self._store.version), now, include=include)
            made["metadata"] = metadata
            return as_json(made)
        kind = asked.kind
        head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata}
        return as_json({**head, "items": items})

    def _page(self, items: list[Object], query: Mapping[str, str]) -> tuple[list[Object], Object]:
        """At most `limit` objects after the place that `continue` names."""
        metadata: Object = {"resourceVersion": str(self._store.version)}
        if token := query.get("continue"):
            after = _read_continue(token)
            items = [item for item in items if _place(item) > after]
        limit = figure(query, "limit")
        if limit and len(items) > limit:
            metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
            place = json.dumps(_place(items[-1])).encode()
            metadata["continue"] = base64.urlsafe_b64encode(place).decode()
        return items, metadata

    def _watch(self, request: Request, asked: Target) -> Response:
        query = request.query_params
        if "sendInitialEvents" in query:
            words = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless "
            raise unprocessable(words + "the WatchList feature gate is enabled")
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            raise bad_request(f'invalid resource version "{version}"')
        seconds = float(figure(query, "timeoutSeconds")) or None
        bookmarks = flag(query, "allowWatchBookmarks")
        events = self._watches.events(question(asked, query), version, seconds, bookmarks=bookmarks)
        lines = self._lines(asked.kind, events, wants_table(request))
        return StreamingResponse(lines, media_type="application/json")

    async def _lines(
        self, kind: Kind, events: AsyncIterator[tuple[str, Object]], include: str
    ) -> AsyncIterator[bytes]:
        yield b""  # the head of the answer goes out before the first event
        async for change, item in events:
            shown = item
            if include and change in ("ADDED", "MODIFIED", "DELETED"):
                version, now = item["metadata"]["resourceVersion"], self._resources.clock()
                shown = table(kind, [item], version, now, include=include)
            event = {"type": change, "object": shown}
            yield json.dumps(event, separators=(",", ":")).encode() + b"\n"

    async def _create(self, request: Request, asked: Target) -> Response:
        return self._created(request, asked, await read_json(request))

    def _created(self, request: Request, asked: Target, body: Any) -> Response:
        item, dry_run = _checked(asked, body), is_dry_run(request.query_params)
        manager = writer(request)
        made = self._resources.create(asked.kind, item, manager=manager, dry_run=dry_run)
        return as_json(made, 201)

    async def _put(self, request: Request, asked: Target) -> Response:
        body = await read_json(request)
        if asked.kind.is_lock and not self._store.find(asked.kind, asked.namespace, asked.name):
            return self._created(request, asked, body)
        return as_json(self._written(request, asked, body))

    async def _patch(self, request: Request, asked: Target) -> Response:
        body = await read_body(request)
        patching.check_offered(content_type(request), custom=asked.kind.is_custom)
        try:
            patch = json.loads(body)
        except ValueError as error:
            raise bad_request(f"the patch is no JSON: {error}") from error
        current = self._store.get(asked.kind, asked.namespace, asked.name)
        if asked.subresource == "scale":
            current = scale_of(current)
        return as_json(
            self._written(request, asked, patching.patched(content_type(request), current, patch))
        )

    def _written(self, request: Request, asked: Target, item: Any) -> Object:
        dry_run = is_dry_run(request.query_params)
        if asked.subresource == "scale":
            return self._write_scale(asked, item, dry_run=dry_run)
        item = _checked(asked, item)
        if name_of(item) != asked.name:
            words = f"the name of the object ({name_of(item)}) does not match the name on the URL"
            raise bad_request(f"{words} ({asked.name})")
        if asked.subresource == "status":
            return self._resources.update_status(asked.kind, item, dry_run=dry_run)
        manager = writer(request)
        return self._resources.update(asked.kind, item, manager=manager, dry_run=dry_run)

    def _write_scale(self, asked: Target, scale: Any, *, dry_run: bool) -> Object:
        current = self._store.get(asked.kind, asked.namespace, asked.name)
        if not isinstance(scale, dict) or not isinstance(scale.get("spec", {}), dict):
            raise bad_request("the body is no Scale")
        item = copy.deepcopy(current)
        item["spec"]["replicas"] = scale.get("spec", {}).get("replicas", 0)
        version = scale.get("metadata", {}).get("resourceVersion")
        item["metadata"]["resourceVersion"] = version or current["metadata"]["resourceVersion"]
        return scale_of(self._resources.update(asked.kind, item, dry_run=dry_run))

    async def _delete(self, request: Request, asked: Target) -> Response:
        options = await read_json(request) or {}
        item = self._store.get(asked.kind, asked.namespace, asked.name)
        for field, given in (options.get("preconditions") or {}).items():
            if field in ("uid", "resourceVersion") and given != item["metadata"][field]:
                what = "UID" if field == "uid" else "ResourceVersion"
                found = f"the {what} in record ({item['metadata'][field]})"
                why = f"the {what} in the precondition ({given}) does not match {found}"
                ending = "The object might have been deleted and then recreated"
                raise conflict(asked.kind, asked.name, f"{why}. {ending}")
        deleted, gone = self._delete_one(request, asked.kind, item, options)
        if gone:
            return as_json(success(asked.kind, asked.name, item["metadata"]["uid"]))
        return as_json(deleted)

    async def _delete_collection(self, request: Request, asked: Target) -> Response:
        if asked.kind is NAMESPACES:
            raise ApiError(405, "MethodNotAllowed", "namespaces are deleted one by one")
        options = await read_json(request) or {}
        sought = question(asked, request.query_params)
        found = self._store.all(asked.kind, asked.namespace)
        items = [item for item in found if sought.matches(item)]
        for item in items:
            self._delete_one(request, asked.kind, item, options)
        metadata = {"resourceVersion": str(self._store.version)}
        head = {"kind": f"{asked.kind.kind}List", "apiVersion": asked.kind.api_version}
        return as_json({**head, "metadata": metadata, "items": items})

    def _delete_one(
        self, request: Request, kind: Kind, item: Object, options: Mapping[str, Any]
    ) -> tuple[Object, bool]:
        query = request.query_params
        grace = options.get("gracePeriodSeconds")
        if grace is None and "gracePeriodSeconds" in query:
            grace = figure(query, "gracePeriodSeconds")
        policy = options.get("propagationPolicy") or query.get("propagationPolicy")
        return self._resources.delete(
            kind,
            item["metadata"].get("namespace", ""),
            name_of(item),
            grace=grace,
            orphan=policy == "Orphan" or bool(options.get("orphanDependents")),
            dry_run=is_dry_run(query, options),
        )


def scale_of(item: Object) -> Object:
    """The `autoscaling/v1` Scale of a Deployment or ReplicaSet."""
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: item["metadata"][name] for name in names},
        "spec": {"replicas": item["spec"]["replicas"]},
        "status": {
            "replicas": item.get("status", {}).get("replicas", 0),
            "selector": as_text(item["spec"]["selector"]),
        },
    }


def _checked(asked: Target, item: Any) -> Object:
    """The body as an object of the kind and namespace that the path names, or 400."""
    if not isinstance(item, dict) or not isinstance(item.get("metadata", {}), dict):
        raise bad_request(f"the body is no {asked.kind.kind}")
    kind = asked.kind
    for field, expected in (("kind", kind.kind), ("apiVersion", kind.api_version)):
        if item.setdefault(field, expected) != expected:
            said = f"{item[field]} in the body does not match the expected {field} ({expected})"
            raise bad_request(said)
    metadata = item.setdefault("metadata", {})
    if asked.namespace and metadata.setdefault("namespace", asked.namespace) != asked.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return item


def _place(item: Object) -> list[str]:
    return [item["metadata"].get("namespace", ""), name_of(item)]


def _read_continue(token: str) -> list[str]:
    try:
        place: list[str] = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise bad_request("continue key is not valid") from error
    return place
