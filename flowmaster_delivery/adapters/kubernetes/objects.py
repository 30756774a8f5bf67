"""Manifests: created where they are not there, strategically merged where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from flowmaster_delivery.adapters.kubernetes.api import (
    MANAGER,
    STRATEGIC,
    AlreadyThere,
    Api,
    Object,
)
from flowmaster_delivery.model.errors import NotFound, Permanent, Refused

MERGE = "application/merge-patch+json"
CLUSTER_SCOPED = "is not of a namespace; the platform applies only what belongs to one"


class Objects:
    """Objects of one namespace, of every kind that the server knows."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._resources: dict[str, Mapping[str, tuple[str, bool]]] = {}

    def apply(self, manifests: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        """`kind/name` of those that changed. All are checked before the first is written."""
        planned = [(self._path(dict(m)), dict(m)) for m in manifests]
        return tuple(
            f"{manifest['kind']}/{_name(manifest)}"
            for path, manifest in planned
            if self._apply_one(path, manifest)
        )

    def _apply_one(self, path: str, manifest: Object) -> bool:
        target = f"{path}/{quote(_name(manifest), safe='')}"
        try:
            before = self._api.get(target)
        except NotFound:
            try:
                self._api.once("POST", path, query={"fieldManager": MANAGER}, body=manifest)
            except AlreadyThere:
                return self._apply_one(path, manifest)
            return True
        after = self._patch(target, manifest)
        return bool(
            before["metadata"].get("resourceVersion") != after["metadata"].get("resourceVersion")
        )

    def _patch(self, target: str, manifest: Object) -> Object:
        custom = "." in str(manifest["apiVersion"]).split("/", maxsplit=1)[0].replace(".k8s.io", "")
        return self._api.once(
            "PATCH",
            target,
            query={"fieldManager": MANAGER},
            body=manifest,
            content_type=MERGE if custom else STRATEGIC,
        )

    def _path(self, manifest: Object) -> str:
        version, kind = str(manifest.get("apiVersion", "")), str(manifest.get("kind", ""))
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        known = self._known(prefix)
        if kind not in known:
            raise Permanent(
                f"the cluster at {self._api.server} knows no {version} {kind} "
                f"({_name(manifest)}); install what defines it, or correct the manifest"
            )
        plural, namespaced = known[kind]
        if not namespaced:
            raise Refused(f"{kind} {_name(manifest)} {CLUSTER_SCOPED}")
        named = manifest.get("metadata", {}).get("namespace") or self._namespace
        if named != self._namespace:
            raise Refused(
                f"{kind} {_name(manifest)} is for namespace {named}, not {self._namespace}; "
                "take the namespace out of the manifest"
            )
        return f"{prefix}/namespaces/{self._namespace}/{plural}"

    def _known(self, prefix: str) -> Mapping[str, tuple[str, bool]]:
        """Kind to plural name and whether it is namespaced, of one group and version."""
        if prefix not in self._resources:
            try:
                found = self._api.get(prefix).get("resources") or ()
            except NotFound:
                return {}
            self._resources[prefix] = {
                r["kind"]: (r["name"], bool(r["namespaced"])) for r in found if "/" not in r["name"]
            }
        return self._resources[prefix]


def _name(manifest: Object) -> str:
    name = (manifest.get("metadata") or {}).get("name")
    if not name:
        raise Permanent(f"a manifest of kind {manifest.get('kind')!r} has no name; give it one")
    return str(name)
