"""Into a pod: HTTP through the API server's proxy, and the logs of its containers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from flowmaster_delivery.sandbox.kubernetes.controllers.pods import workload_of
from flowmaster_delivery.sandbox.kubernetes.kinds import PODS, Object, name_of
from flowmaster_delivery.sandbox.kubernetes.requests import Target, flag
from flowmaster_delivery.sandbox.kubernetes.resources import Resources
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError, bad_request

Answered = tuple[int, Mapping[str, str], bytes, float]
"""Status (0: the connection is refused), headers, body, and seconds until it comes."""

Answer = Callable[[str, str, str, str], Answered | Awaitable[Answered]]
"""Called with namespace, workload, pod and path (with its query)."""


def healthy(_namespace: str, workload: str, _pod: str, _path: str) -> Answered:
    """Every pod is well: the answer where nobody gives another one."""
    body = f'{{"status":"ok","service":"{workload}"}}'.encode()
    return 200, {"content-type": "application/json"}, body, 0.0


class PodAccess:
    def __init__(self, resources: Resources, answer: Answer) -> None:
        self._store = resources.store
        self._answer = answer

    async def respond(self, request: Request, asked: Target) -> Response:
        """Answer `…/pods/NAME/log` or `…/pods/[http:]NAME[:PORT]/proxy/PATH`."""
        if asked.subresource == "log":
            return self._log(request, asked)
        name = _pod_name(asked.name)
        pod = self._store.get(PODS, asked.namespace, name)
        if not _is_up(pod):
            raise _unreachable("connect: connection refused")
        query = f"?{request.url.query}" if request.url.query else ""
        workload = workload_of(self._store, pod)
        found = self._answer(asked.namespace, workload, name, f"/{asked.rest}{query}")
        status, headers, body, delay = await found if inspect.isawaitable(found) else found
        if delay:
            await asyncio.sleep(delay)
        if status <= 0:
            raise _unreachable("connect: connection refused")
        return Response(body, status, dict(headers))

    def _log(self, request: Request, asked: Target) -> Response:
        pod = self._store.get(PODS, asked.namespace, asked.name)
        container = _chosen(pod, request.query_params.get("container", ""))
        statuses = pod["status"].get("containerStatuses", [])
        status = next((s for s in statuses if s["name"] == container), None)
        state = _logged_state(status, previous=flag(request.query_params, "previous"))
        if status is None or state is None:
            why = (status or {}).get("state", {}).get("waiting", {}).get("reason", "not started")
            words = f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {why}'
            raise bad_request(words)
        lines = [f"{state['startedAt']} starting {status['image']}"]
        if status["ready"]:
            lines.append(f"{state['startedAt']} ready to serve")
        if "exitCode" in state:
            lines.append(f"{state['finishedAt']} {state.get('message', state['reason'])}")
        return PlainTextResponse("\n".join(lines) + "\n")


def _pod_name(name: str) -> str:
    """The pod of `http:NAME:PORT`, `NAME:PORT` or `NAME`; raise 400 for other schemes."""
    parts = name.split(":")
    if len(parts) == 3:
        if parts[0] not in ("http", ""):
            raise bad_request(f"invalid pod request {name!r}: the sandbox's pods speak http only")
        parts = parts[1:]
    return parts[0]


def _is_up(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return any("running" in status["state"] for status in statuses)


def _unreachable(why: str) -> ApiError:
    words = f"error trying to reach service: dial tcp: {why}"
    return ApiError(503, "ServiceUnavailable", words)


def _chosen(pod: Object, container: str) -> str:
    names: list[str] = [c["name"] for c in pod["spec"]["containers"]]
    if not container:
        return names[0]
    if container not in names:
        raise bad_request(f"container {container} is not valid for pod {name_of(pod)}")
    return container


def _logged_state(status: Object | None, *, previous: bool) -> Object | None:
    """The run of the process that the log is of: the present one, else the last."""
    if status is None:
        return None
    states: list[Object] = (
        [status["lastState"]]
        if previous
        else [
            status["state"],
            status["lastState"],
        ]
    )
    for state in states:
        for word in ("running", "terminated"):
            if found := state.get(word):
                return dict(found)
    return None
