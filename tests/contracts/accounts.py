"""ServiceAccounts on a cluster to test against: what they may do, and what they asked for.

The sandbox notes requests as they come in; a real API server writes its own audit log.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.cli.rights import role
from flowmaster_delivery.model.rights import Act, Right
from flowmaster_delivery.sandbox.kubernetes.authorization import asked_for

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


@dataclass(frozen=True)
class Account:
    """Somebody with rights in one namespace."""

    kubeconfig: Path
    namespace: str
    asked: Callable[[], frozenset[Act]]
    """What it asked for in that namespace so far, allowed or not. Reviews and discovery are of no
    namespace."""


class Notes:
    """Every request of an app, with the token that it came with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._seen: list[tuple[str, str, Act]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            asked = asked_for(request.method, request.url.path, request.query_params)
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if asked:
                self._seen.append((token, *asked))
        await self._app(scope, receive, send)

    def of(self, token: str, namespace: str) -> frozenset[Act]:
        return frozenset(
            act for who, where, act in self._seen if (who, where) == (token, namespace)
        )


def service_account(api: Api, namespace: str, rights: Sequence[Right]) -> tuple[str, str]:
    """Name and token of a new ServiceAccount that a Role with these rights is bound to."""
    name = f"flow-{uuid.uuid4().hex[:8]}"
    meta = {"name": name, "namespace": namespace}
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    api.once("POST", accounts, body=account)
    own = f"{RBAC}/namespaces/{namespace}"
    api.once("POST", f"{own}/roles", body=role(name, namespace, rights))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    api.once("POST", f"{own}/rolebindings", body=binding)
    wanted = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    }
    token = api.once("POST", f"{accounts}/{name}/token", body=wanted)["status"]["token"]
    return name, token


def kubeconfig_with(token: str, beside: Path) -> Path:
    """A copy of a kubeconfig, in its folder, for whoever the token belongs to."""
    content: dict[str, Any] = json.loads(beside.read_text())
    content["users"] = [
        {"name": user["name"], "user": {"token": token}} for user in content["users"]
    ]
    made = beside.with_name(f"kubeconfig-{uuid.uuid4().hex[:8]}")
    made.write_text(json.dumps(content))
    return made


def await_rights(kubeconfig: Path, context: str, namespace: str, rights: Sequence[Right]) -> None:
    """The API server learns of a RoleBinding a moment after it was written."""
    end = time.monotonic() + 10
    body = {"spec": {"namespace": namespace}}
    with closing(Api(connect(kubeconfig, context))) as api:
        while True:
            rules = api.once("POST", REVIEWS, body=body)["status"]["resourceRules"]
            told = {(r["apiGroups"][0], r["resources"][0]) for r in rules if r.get("apiGroups")}
            if {(right.group, right.resource) for right in rights} <= told:
                return
            assert time.monotonic() < end, f"the rights in {namespace} came to nothing: {rules}"
            time.sleep(0.05)


def audited(log: Path, user: str, namespace: str) -> Iterator[Act]:
    """What a user asked for in a namespace, as the API server wrote it down."""
    for line in log.read_text().splitlines():
        event = json.loads(line)
        ref = event.get("objectRef") or {}
        if event["user"]["username"] != user or ref.get("namespace") != namespace:
            continue
        sub = ref.get("subresource")
        resource = f"{ref['resource']}/{sub}" if sub else ref["resource"]
        yield Act(ref.get("apiGroup", ""), resource, event["verb"], ref.get("name", ""))
