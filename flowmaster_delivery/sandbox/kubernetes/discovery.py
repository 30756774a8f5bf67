"""What the server says it has: API groups, resources, and just enough OpenAPI for kubectl."""

from __future__ import annotations

from flowmaster_delivery.sandbox.kubernetes.kinds import KINDS, Kind, Object

VERSION: Object = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0-sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "flowmaster-delivery",
    "platform": "sandbox/python",
}

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

REVIEWS = {
    ("authorization.k8s.io", "v1"): (
        ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ),
    ("authentication.k8s.io", "v1"): (
        ("selfsubjectreviews", "SelfSubjectReview"),
        ("tokenreviews", "TokenReview"),
    ),
}
"""Questions that are asked by creating an object that is not stored."""


def core_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _groups() -> list[tuple[str, str]]:
    stored = {(kind.group, kind.version) for kind in KINDS if kind.group}
    return sorted(stored | set(REVIEWS))


def group_list() -> Object:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*g) for g in _groups()]}


def group(name: str) -> Object | None:
    """One API group; None where there is no such group."""
    version = dict(_groups()).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, version)} if version else None


def _group(name: str, version: str) -> Object:
    served = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [served], "preferredVersion": served}


def resource_list(group: str, version: str) -> Object | None:
    """The resources of one group and version; None where there are none."""
    kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]
    resources = [entry for kind in kinds for entry in _resources(kind)]
    for plural, name in REVIEWS.get((group, version), ()):
        resources.append(_entry(plural, name, namespaced=False, verbs=["create"]))
    if not resources:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": resources,
    }


def _entry(plural: str, kind: str, *, namespaced: bool, verbs: list[str]) -> Object:
    return {
        "name": plural,
        "singularName": "" if "/" in plural else kind.lower(),
        "namespaced": namespaced,
        "kind": kind,
        "verbs": verbs,
    }


def _resources(kind: Kind) -> list[Object]:
    main = _entry(kind.plural, kind.kind, namespaced=kind.namespaced, verbs=VERBS)
    if kind.short:
        main["shortNames"] = list(kind.short)
    if kind.categories:
        main["categories"] = list(kind.categories)
    listed = [main]
    if kind.has_status:
        status = f"{kind.plural}/status"
        verbs = ["get", "patch", "update"]
        listed.append(_entry(status, kind.kind, namespaced=kind.namespaced, verbs=verbs))
    if kind.has_scale:
        scale = _entry(f"{kind.plural}/scale", "Scale", namespaced=True, verbs=verbs)
        listed.append({**scale, "group": "autoscaling", "version": "v1"})
    if kind.kind == "Pod":
        listed.append(_entry("pods/log", "Pod", namespaced=True, verbs=["get"]))
        listed.append(_entry("pods/proxy", "PodProxyOptions", namespaced=True, verbs=["get"]))
    return listed


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def openapi_index() -> Object:
    roots = sorted({_root(kind.group, kind.version) for kind in KINDS})
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}


def openapi(root: str) -> Object | None:
    """A document without schemas: which parameters a PATCH takes is all that kubectl needs."""
    kinds = [kind for kind in KINDS if _root(kind.group, kind.version) == root]
    if not kinds:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {_path(root, kind): {"patch": _patch(kind)} for kind in kinds},
        "components": {"schemas": {}},
    }


def _path(root: str, kind: Kind) -> str:
    namespace = "/namespaces/{namespace}" if kind.namespaced else ""
    return f"/{root}{namespace}/{kind.plural}/{{name}}"


def _patch(kind: Kind) -> Object:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    return {
        "operationId": f"patch{kind.kind}",
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": kind.group,
            "kind": kind.kind,
            "version": kind.version,
        },
    }
