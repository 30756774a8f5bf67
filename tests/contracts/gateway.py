"""The Gateway API's HTTPRoute on a cluster to test against: a small definition of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.errors import NotFound
from tests.contracts.clusters import CONTEXT, Target
from tests.contracts.namespaces import await_until

GROUP = "gateway.networking.k8s.io"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": f"httproutes.{GROUP}",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
    },
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "HTTPRoute", "plural": "httproutes", "singular": "httproute"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": ANYTHING, "status": ANYTHING},
                    }
                },
                "subresources": {"status": {}},
            }
        ],
    },
}


@contextmanager
def installed(target: Target) -> Iterator[None]:
    """The definition, for as long as it is needed; the sandbox has it always."""
    if not target.real:
        yield
        return
    api = Api(connect(target.kubeconfig, CONTEXT))
    api.once("POST", DEFINITIONS, body=DEFINITION)
    await_until(lambda: _is_served(api))
    try:
        yield
    finally:
        api.once("DELETE", f"{DEFINITIONS}/httproutes.{GROUP}")
        await_until(lambda: not _is_served(api))
        api.close()


def _is_served(api: Api) -> bool:
    try:
        api.get(f"/apis/{GROUP}/v1/namespaces/default/httproutes")
    except NotFound:
        return False
    return True


def route(*backends: Mapping[str, object]) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
                    "backendRefs": [dict(b) for b in backends],
                },
                {"backendRefs": [{"name": "web", "port": 80}]},
            ],
        },
    }
