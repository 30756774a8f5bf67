"""The sandbox's Kubernetes cluster: one ASGI app and the controllers behind it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from flowmaster_delivery.model.rights import Right
from flowmaster_delivery.sandbox.kubernetes import discovery, openapi_v2, reviews
from flowmaster_delivery.sandbox.kubernetes.answers import Answers, as_json
from flowmaster_delivery.sandbox.kubernetes.authorization import (
    ABOUT_ONESELF,
    MASTERS,
    User,
    refuse_unless_allowed,
)
from flowmaster_delivery.sandbox.kubernetes.controllers.deployments import DeploymentController
from flowmaster_delivery.sandbox.kubernetes.controllers.garbage import (
    NamespaceCollector,
    OwnerCollector,
)
from flowmaster_delivery.sandbox.kubernetes.controllers.jobs import JobController
from flowmaster_delivery.sandbox.kubernetes.controllers.loop import ControlLoop
from flowmaster_delivery.sandbox.kubernetes.controllers.pods import NODE, PodController
from flowmaster_delivery.sandbox.kubernetes.controllers.replicasets import ReplicaSetController
from flowmaster_delivery.sandbox.kubernetes.kinds import NODES, PODS, Object, name_of, namespace_of
from flowmaster_delivery.sandbox.kubernetes.pod_access import Answer, PodAccess, healthy
from flowmaster_delivery.sandbox.kubernetes.pod_index import PodIndex, RunningPod
from flowmaster_delivery.sandbox.kubernetes.requests import (
    PROTOBUF,
    content_type,
    read_json,
    target,
)
from flowmaster_delivery.sandbox.kubernetes.resources import Clock, Resources, wall_clock
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError, no_such_path
from flowmaster_delivery.sandbox.kubernetes.store import Store
from flowmaster_delivery.sandbox.kubernetes.watching import Watches
from flowmaster_delivery.sandbox.orders import Behaviours, Images

NAMESPACES_AT_START = ("default", "kube-public", "kube-system")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ADMINISTRATOR = "sandbox-admin"


class KubernetesSandbox:
    """Its own store, tokens and controllers; `app` is to be served over TLS."""

    def __init__(
        self,
        *,
        images: Images,
        behaviours: Behaviours,
        answer: Answer = healthy,
        clock: Clock = wall_clock,
    ) -> None:
        self.store = Store()
        self.pods = PodIndex(self.store)
        self.resources = Resources(self.store, clock)
        self.tokens = reviews.Tokens()
        self.token = self.add_token(ADMINISTRATOR, (MASTERS,))
        self._pods = PodController(self.resources, images, behaviours)
        controllers = (
            DeploymentController(self.resources),
            ReplicaSetController(self.resources),
            JobController(self.resources),
            OwnerCollector(self.resources),
            NamespaceCollector(self.resources),
            self._pods,
        )
        self.loop = ControlLoop(self.store, clock, controllers)
        self._watches = Watches(self.store)
        self._answers = Answers(self.resources, self._watches)
        self._access = PodAccess(self.resources, answer)
        self.app: ASGIApp = Starlette(
            routes=[Route("/{path:path}", self._respond, methods=METHODS)]
        )
        self._begin()

    async def run(self) -> None:
        """Let the controllers work until cancelled; open watches end with them."""
        try:
            await self.loop.run()
        finally:
            self._watches.close()

    def apply(self, manifest: Object) -> Object:
        """Create or replace an object without HTTP. Raise ApiError as the server would."""
        return self.resources.apply(manifest)

    def add_token(
        self,
        name: str,
        groups: tuple[str, ...] = (),
        rights: Mapping[str, Sequence[Right]] | None = None,
    ) -> str:
        """A new bearer token for a person or service account; `rights` are by namespace."""
        return self.tokens.add(User(name, groups, rights or {}))

    def behaviours_changed(self) -> None:
        """Have every pod look at its orders again."""
        for pod in self.store.all(PODS):
            self.loop.enqueue(self._pods, (namespace_of(pod), name_of(pod)))

    def running(self, namespace: str, workload: str) -> list[RunningPod]:
        """Pods of a Deployment or Job whose first container runs, without those that are ending."""
        return self.pods.running(namespace, workload)

    def kubeconfig(
        self, url: str, *, ca: Path | None = None, contexts: Mapping[str, str] | None = None
    ) -> Object:
        """A kubeconfig for the administrator; `contexts` gives each context its namespace."""
        contexts = contexts or {"sandbox": "default"}
        cluster: Object = {"server": url}
        if ca is not None:
            cluster["certificate-authority-data"] = base64.b64encode(ca.read_bytes()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": ADMINISTRATOR, "user": {"token": self.token}}],
            "contexts": [
                {
                    "name": name,
                    "context": {
                        "cluster": "sandbox",
                        "user": ADMINISTRATOR,
                        "namespace": namespace,
                    },
                }
                for name, namespace in contexts.items()
            ],
            "current-context": next(iter(contexts)),
        }

    def _begin(self) -> None:
        for name in NAMESPACES_AT_START:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        version = discovery.VERSION["gitVersion"]
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        self.resources.create(
            NODES,
            {
                "metadata": {"name": NODE},
                "status": {"conditions": [ready], "nodeInfo": {"kubeletVersion": version}},
            },
        )

    async def _respond(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except ApiError as error:
            return as_json(error.status, error.code)

    async def _route(self, request: Request) -> Response:
        path = request.url.path
        if path in ("/livez", "/readyz", "/healthz"):
            return PlainTextResponse("ok")
        user = self._user(request)
        if path == "/version":
            return as_json(discovery.VERSION)
        if path == "/openapi/v2" and "protobuf" in request.headers.get("accept", ""):
            content = openapi_v2.document("Kubernetes", str(discovery.VERSION["gitVersion"]))
            return Response(content, media_type=openapi_v2.MEDIA_TYPE)
        if found := _described(path.rstrip("/")):
            return as_json(found)
        kind = _review(path)
        if kind not in ("SelfSubjectReview", *ABOUT_ONESELF):
            refuse_unless_allowed(user, request.method, path, request.query_params)
        if kind:
            return await self._review(request, kind, user)
        asked = target(path)
        if asked.kind is PODS and asked.subresource in ("log", "proxy"):
            return await self._access.respond(request, asked)
        return await self._answers.handle(request, asked)

    def _user(self, request: Request) -> User:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user = self.tokens.user(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return user

    async def _review(self, request: Request, kind: str, user: User) -> Response:
        if request.method != "POST":
            raise no_such_path()
        group = (
            "authentication" if kind in ("TokenReview", "SelfSubjectReview") else "authorization"
        )
        body: Object = {"kind": kind, "apiVersion": f"{group}.k8s.io/v1", "spec": {}}
        if content_type(request) != PROTOBUF:  # kubectl asks in protobuf; the answer is the same
            sent = await read_json(request)
            if isinstance(sent, dict) and isinstance(sent.get("spec", {}), dict):
                body |= sent
        return as_json(reviews.answer(kind, body, user, self.tokens), 201)


def _described(path: str) -> Object | None:
    """Discovery and OpenAPI documents; None for every other path."""
    steps = path.strip("/").split("/")
    match steps:
        case ["api"]:
            return discovery.core_versions()
        case ["apis"]:
            return discovery.group_list()
        case ["api", version]:
            return discovery.resource_list("", version)
        case ["apis", group]:
            return discovery.group(group)
        case ["apis", group, version]:
            return discovery.resource_list(group, version)
        case ["openapi", "v3"]:
            return discovery.openapi_index()
        case ["openapi", "v3", *root]:
            return discovery.openapi("/".join(root))
    return None


def _review(path: str) -> str:
    """Kind of the review that the path asks for, empty for other paths."""
    for (group, version), offered in discovery.REVIEWS.items():
        for plural, kind in offered:
            if path == f"/apis/{group}/{version}/{plural}":
                return kind
    return ""
