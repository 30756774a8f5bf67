"""The services that run on the sandbox's cluster, as the world reaches them over HTTP.

`/<environment>/<service>/<path>` answers by what runs: which pods are ready, and what their image
was told to do. The API server's pod proxy asks `answer` for one pod.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flowmaster_delivery.sandbox.hosting import drop
from flowmaster_delivery.sandbox.orders import Behaviours, service_of
from flowmaster_delivery.sandbox.sharing import Backend, RunningPod, Turns
from flowmaster_delivery.sandbox.traffic import Traffic

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
REFUSED = 0
"""Status that says: the connection was refused or cut."""


Running = Callable[[str, str], Sequence[RunningPod]]
"""Pods of a workload: called with namespace and workload."""
Backends = Callable[[str, str], Sequence[Backend]]
"""Who answers requests to the service of a workload: called with namespace and workload."""

PodAnswer = tuple[int, Mapping[str, str], bytes, float]
"""Status (REFUSED: no answer), headers, body, and the seconds it takes."""


@dataclass(slots=True)
class Services:
    """`namespaces` leads from an environment, as it stands in URLs, to its namespace.

    What is not in it is taken for a namespace.
    """

    running: Running
    backends: Backends
    behaviours: Behaviours
    traffic: Traffic
    namespaces: Mapping[str, str]
    workloads: Mapping[str, str]
    """Workload of a service where it is not called like the service."""
    turns: Turns = field(default_factory=Turns)

    @property
    def app(self) -> ASGIApp:
        path = "/{environment}/{service}/{path:path}"
        return Starlette(
            routes=[
                Route("/metrics", self._metrics),
                Route("/{environment}/{service}/metrics", self._metrics),
                Route("/{environment}/{service}", _Door(self), methods=METHODS),
                Route(path, _Door(self), methods=METHODS),
            ]
        )

    def answer(self, namespace: str, workload: str, pod: str, path: str) -> PodAnswer:
        """What one pod answers now; counted as traffic. `path` is not looked at: any is served."""
        found = [p for p in self.running(namespace, workload) if p.name == pod]
        if not found:
            return REFUSED, {}, b"", 0.0
        return self._answer(namespace, service_of(workload), found[0], path)

    def answer_behind(self, environment: str, service: str, path: str) -> PodAnswer:
        """What the load balancer in front of the service answers: ready pods take turns.

        Where none is ready because the service is down, it refuses as the pods do.
        """
        namespace = self.namespaces.get(environment, environment)
        workload = self.workloads.get(service, service)
        backends = self.backends(namespace, workload)
        if not backends:
            return _json(404, {"error": f"no service {service!r} runs in {environment!r}"})
        chosen = self.turns.next((namespace, workload), backends)
        if chosen is not None:
            return self._answer(namespace, workload, chosen, path)
        pods = [pod for backend in backends for pod in backend.pods]
        down = [self.behaviours.service(namespace, workload, pod.image).down for pod in pods]
        if down and all(down):
            return REFUSED, {}, b"", 0.0
        return _json(503, {"error": f"no pod of {service!r} is ready in {environment!r}"})

    def _answer(self, namespace: str, service: str, pod: RunningPod, path: str) -> PodAnswer:
        behaviour = self.behaviours.service(namespace, service, pod.image)
        if behaviour.down:
            return REFUSED, {}, b"", 0.0
        failed = self.traffic.fails(namespace, service, pod.name, behaviour.failure_rate)
        status = behaviour.status if failed else 200
        self.traffic.count(namespace, service, pod.name, status, behaviour.delay)
        body = {
            "status": "error" if failed else "ok",
            "service": service,
            "image": pod.image,
            "digest": pod.digest,
            "pod": pod.name,
            "path": "/" + path.lstrip("/"),
            "since": pod.since.isoformat(),
            "sandbox": True,
        }
        return _json(status, body, behaviour.delay)

    async def _metrics(self, request: Request) -> Response:
        environment = request.path_params.get("environment")
        service = request.path_params.get("service", "")
        self.traffic.advance()
        wanted: dict[str, str] = {}
        if environment is not None:
            wanted["namespace"] = self.namespaces.get(environment, environment)
            wanted["service"] = self.workloads.get(service, service)
        text = self.traffic.exposition(wanted)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


@dataclass(frozen=True, slots=True)
class _Door:
    """An ASGI app rather than a handler: it may have to cut the connection."""

    services: Services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = scope["path_params"]
        status, headers, body, delay = self.services.answer_behind(
            params["environment"], params["service"], params.get("path", "")
        )
        await asyncio.sleep(delay)
        if status == REFUSED:
            await drop(scope, receive)
            return
        body = b"" if scope["method"] == "HEAD" else body
        await Response(body, status, headers=dict(headers))(scope, receive, send)


def _json(status: int, body: Mapping[str, object], delay: float = 0.0) -> PodAnswer:
    headers = {"Content-Type": "application/json", "Server": "flowmaster-sandbox-service"}
    return status, headers, json.dumps(body).encode(), delay
