"""Canaries: a second Deployment of a service, made from the live one, found by its owner label.

Its own selector names labels that the stable Deployment's pods do not have. The stable one's
selector may match the canary's pods too: its ReplicaSets leave pods with a controller alone, which
is also why a canary is never deleted with its pods orphaned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from urllib.parse import quote

from flowmaster_delivery.adapters.kubernetes.api import MANAGER, AlreadyThere, Api, Object
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import NotFound, Refused, Superseded, Unreachable

CANARY_OF = "flowmaster.ai/canary-of"
"""Label: the workload name of the service that it is a canary of."""
TRACK = "flowmaster.ai/track"
OWN_SERVICE = "flowmaster.ai/canary-service"
"""Annotation of a canary that is reached through a Service of its own."""
SUFFIX = "-canary"
NOT_COPIED = frozenset({"replicas", "selector", "template", "paused"})


class Canaries:
    """The canary Deployments of one namespace, and the Services made for them."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._services = f"/api/v1/namespaces/{namespace}/services"

    def all(self) -> Mapping[str, Object]:
        """By the workload name of the service."""
        found = self._api.get(self._deployments, {"labelSelector": CANARY_OF})
        return {_owner(item): item for item in found.get("items") or ()}

    def read(self, name: str) -> Object:
        """Raise NotFound where it is not there, Refused where it is no canary of ours."""
        found = self._api.get(f"{self._deployments}/{quote(name, safe='')}")
        if not _owner(found):
            raise Refused(
                f"Deployment {name} in namespace {self._namespace} is no canary of this platform "
                f"(it has no label {CANARY_OF}), so it is neither scaled nor removed"
            )
        return found

    def create(
        self,
        service: Service,
        reference: str,
        pods: int,
        annotations: Mapping[str, str | None],
        *,
        weighted: bool,
    ) -> Object:
        """The Service first: a canary that is there has all that belongs to it."""
        stable = self._api.get(f"{self._deployments}/{quote(service.workload_name, safe='')}")
        canary = _canary(stable, service, reference, pods, annotations)
        if weighted:
            fronts = services_of(self._api, self._services, stable)
            self._create_service(service, front(fronts, service))
            canary["metadata"]["annotations"][OWN_SERVICE] = service.canary.workload_name
            _set_apart(canary, fronts)
        return self._create(canary)

    def remove(self, name: str, uid: str) -> None:
        """The Service first: as long as the Deployment is there, it is found and removed again."""
        try:
            found = self.read(name)
        except NotFound:
            return
        if found["metadata"]["uid"] != uid:
            raise Superseded(f"the canary {name} is another one than was to be removed; read again")
        beside = (found["metadata"].get("annotations") or {}).get(OWN_SERVICE)
        if beside:
            self._delete(f"{self._services}/{quote(beside, safe='')}", {})
        self._delete(f"{self._deployments}/{quote(name, safe='')}", {"uid": uid})

    def _create(self, canary: Object) -> Object:
        name = canary["metadata"]["name"]
        try:
            return self._api.once(
                "POST", self._deployments, query={"fieldManager": MANAGER}, body=canary
            )
        except AlreadyThere as error:
            raise Superseded(
                f"Deployment {name} exists already in namespace {self._namespace}: "
                "another run has made it, or one has left it behind"
            ) from error
        except Unreachable:
            with suppress(NotFound):
                made = self._api.get(f"{self._deployments}/{quote(name, safe='')}")
                if _is_made_by(made, canary):
                    return made
            raise

    def _create_service(self, service: Service, stable: Object) -> None:
        """As the stable one, for other pods. One that a crash left behind is made anew."""
        name = service.canary.workload_name
        with suppress(NotFound):
            there = self._api.get(f"{self._services}/{quote(name, safe='')}")
            if not _owner(there):
                raise Refused(
                    f"Service {name} in namespace {self._namespace} is not of this platform, and a "
                    "canary by route weights needs that name; rename it, or let pods make the share"
                )
            self._delete(f"{self._services}/{quote(name, safe='')}", {})
        spec = stable["spec"]
        selector = {key: value + SUFFIX for key, value in spec["selector"].items()}
        ports = [
            {k: v for k, v in port.items() if k != "nodePort"} for port in spec.get("ports") or ()
        ]
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": _labels(service)},
            "spec": {"selector": selector, "ports": ports},
        }
        self._api.once("POST", self._services, query={"fieldManager": MANAGER}, body=body)

    def _delete(self, path: str, preconditions: Mapping[str, str]) -> None:
        """Whatever it owns goes after it. What is gone already is as it should be."""
        body: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": dict(preconditions),
        }
        with suppress(NotFound):
            self._api.once("DELETE", path, body=body)


def services_of(api: Api, path: str, deployment: Object) -> Sequence[Object]:
    """The Kubernetes Services that select the pods of a Deployment."""
    labels = (deployment["spec"]["template"].get("metadata") or {}).get("labels") or {}
    listed = api.get(path).get("items") or ()
    return [s for s in listed if _selects(s["spec"].get("selector") or {}, labels)]


def front(services: Sequence[Object], service: Service) -> Object:
    """The one that leads to the service: of the workload's name, else the first."""
    named = [s for s in services if s["metadata"]["name"] == service.workload_name]
    for found in (*named, *services):
        return found
    raise NotFound(
        f"no Kubernetes Service selects the pods of {service.workload_name}, so no share of its "
        "requests can be sent to a canary; create one, or let pods make the share"
    )


def _selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _canary(
    stable: Object,
    service: Service,
    reference: str,
    pods: int,
    annotations: Mapping[str, str | None],
) -> Object:
    """The stable Deployment's labels and annotations stay behind: other tools own by them."""
    ours = _labels(service)
    template = deepcopy(stable["spec"]["template"])
    _set_image(template["spec"]["containers"], service, reference)
    meta = template.get("metadata") or {}
    template["metadata"] = {**meta, "labels": {**(meta.get("labels") or {}), **ours}}
    kept = {key: value for key, value in stable["spec"].items() if key not in NOT_COPIED}
    noted = {key: value for key, value in annotations.items() if value is not None}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": service.canary.workload_name,
            "labels": {"app.kubernetes.io/name": service.name, **ours},
            "annotations": noted,
        },
        "spec": {
            **kept,
            "replicas": pods,
            "selector": {"matchLabels": ours},
            "template": template,
        },
    }


def _labels(service: Service) -> dict[str, str]:
    return {TRACK: "canary", CANARY_OF: service.workload_name}


def _set_image(containers: Sequence[Object], service: Service, reference: str) -> None:
    for container in containers:
        if container["name"] == service.container_name:
            container["image"] = reference
            return
    names = ", ".join(container["name"] for container in containers)
    raise NotFound(
        f"Deployment {service.workload_name} has no container {service.container_name!r} "
        f"but {names}; correct `container` in the catalog"
    )


def _set_apart(canary: Object, services: Sequence[Object]) -> None:
    """Its pods get labels that none of the stable Services selects."""
    labels = canary["spec"]["template"]["metadata"]["labels"]
    for key in {key for service in services for key in service["spec"]["selector"]}:
        labels[key] += SUFFIX


def _owner(item: Object) -> str:
    return str((item["metadata"].get("labels") or {}).get(CANARY_OF) or "")


def _is_made_by(made: Object, canary: Object) -> bool:
    """Whether a Deployment that is there is the one that a request without an answer made."""
    wanted = canary["metadata"]["annotations"].items()
    return wanted <= (made["metadata"].get("annotations") or {}).items() and [
        c["image"] for c in made["spec"]["template"]["spec"]["containers"]
    ] == [c["image"] for c in canary["spec"]["template"]["spec"]["containers"]]
