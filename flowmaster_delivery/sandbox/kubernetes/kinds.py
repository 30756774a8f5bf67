"""Which resources the API server has, and what each of them can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""One API object as JSON. Stored objects are never changed in place: copy, change, replace."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource; `plural` is its name in URLs."""

    group: str
    version: str
    kind: str
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = False
    has_scale: bool = False
    categories: tuple[str, ...] = ()
    is_generational: bool = False
    """Whether a changed spec counts up `metadata.generation`."""
    is_lock: bool = False
    """Whether a PUT must bring the newest resource version, and creates what is not there."""
    is_custom: bool = False
    """Whether a CustomResourceDefinition brings it: then it is not merged strategically."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As it stands in error messages: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()


NAMESPACES = Kind("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, has_status=True)
NODES = Kind("", "v1", "Node", "nodes", ("no",), namespaced=False, has_status=True)
PODS = Kind("", "v1", "Pod", "pods", ("po",), has_status=True, categories=("all",))
SERVICES = Kind("", "v1", "Service", "services", ("svc",), has_status=True, categories=("all",))
EVENTS = Kind("", "v1", "Event", "events", ("ev",))
CONFIG_MAPS = Kind("", "v1", "ConfigMap", "configmaps", ("cm",))
SECRETS = Kind("", "v1", "Secret", "secrets")
SERVICE_ACCOUNTS = Kind("", "v1", "ServiceAccount", "serviceaccounts", ("sa",))
DEPLOYMENTS = Kind(
    "apps",
    "v1",
    "Deployment",
    "deployments",
    ("deploy",),
    has_status=True,
    has_scale=True,
    categories=("all",),
    is_generational=True,
)
REPLICA_SETS = Kind(
    "apps",
    "v1",
    "ReplicaSet",
    "replicasets",
    ("rs",),
    has_status=True,
    has_scale=True,
    categories=("all",),
    is_generational=True,
)
JOBS = Kind(
    "batch",
    "v1",
    "Job",
    "jobs",
    has_status=True,
    categories=("all",),
    is_generational=True,
)
LEASES = Kind("coordination.k8s.io", "v1", "Lease", "leases", is_lock=True)
HTTP_ROUTES = Kind(
    "gateway.networking.k8s.io",
    "v1",
    "HTTPRoute",
    "httproutes",
    has_status=True,
    is_generational=True,
    is_custom=True,
)

KINDS = (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    LEASES,
    HTTP_ROUTES,
)

BY_PATH = {(k.group, k.version, k.plural): k for k in KINDS}
BY_TYPE = {(k.api_version, k.kind): k for k in KINDS}


def namespace_of(item: Object) -> str:
    """Namespace of an object, empty for those that stand above namespaces."""
    namespace: str = item["metadata"].get("namespace", "")
    return namespace


def name_of(item: Object) -> str:
    name: str = item["metadata"]["name"]
    return name


def controller_of(item: Object) -> Object | None:
    """The owner reference of the controller that made the object, if one did."""
    owners: list[Object] = item["metadata"].get("ownerReferences", [])
    return next((owner for owner in owners if owner.get("controller")), None)
