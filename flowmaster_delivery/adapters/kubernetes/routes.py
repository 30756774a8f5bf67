"""HTTPRoutes of the Gateway API: a share of a service's requests by the weights of its backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from flowmaster_delivery.adapters.kubernetes.api import MANAGER, Api, Object, Outdated
from flowmaster_delivery.adapters.kubernetes.canaries import front, services_of
from flowmaster_delivery.model.catalog import Service
from flowmaster_delivery.model.errors import NotFound, Refused

GROUP = "gateway.networking.k8s.io"
VERSIONS = ("v1", "v1beta1")
"""Those that we speak, the best first."""
MERGE = "application/merge-patch+json"
TRIES = 5
"""A gateway's controller writes the status of its routes all the time: read again and try again."""

Ref = Mapping[str, Any]


class Routes:
    """The HTTPRoutes of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._services = f"/api/v1/namespaces/{namespace}/services"

    def weigh(self, service: Service, percent: int) -> str | None:
        """Set the weights on every route that leads to the service; None where there is none."""
        path = self._path()
        name = self._front(service) if path else None
        if path is None or name is None:
            return None
        canary = service.canary.workload_name
        try:
            found = self._api.get(path).get("items") or ()
        except NotFound:
            return None
        names = [r["metadata"]["name"] for r in found if self._leads(r, name)]
        if names and percent:
            self._api.get(f"{self._services}/{quote(canary, safe='')}")
        for route in names:
            self._set(f"{path}/{quote(route, safe='')}", name, canary, percent)
        shares = f"{100 - percent} % to {name}, {percent} % to {canary}"
        return f"HTTPRoute {', '.join(sorted(names))}: {shares}" if names else None

    def _path(self) -> str | None:
        """Where the routes are; None on a cluster without the Gateway API."""
        try:
            group = self._api.get(f"/apis/{GROUP}")
        except NotFound:
            return None
        served = {version["version"] for version in group.get("versions") or ()}
        version = next((known for known in VERSIONS if known in served), None)
        return version and f"/apis/{GROUP}/{version}/namespaces/{self._namespace}/httproutes"

    def _front(self, service: Service) -> str | None:
        """Name of the Kubernetes Service that a route would name."""
        name = quote(service.workload_name, safe="")
        deployments = f"/apis/apps/v1/namespaces/{self._namespace}/deployments"
        stable = self._api.get(f"{deployments}/{name}")
        fronts = services_of(self._api, self._services, stable)
        return str(front(fronts, service)["metadata"]["name"]) if fronts else None

    def _leads(self, route: Object, name: str) -> bool:
        return any(self._is(ref, name) for rule in _rules(route) for ref in _refs(rule))

    def _set(self, path: str, name: str, canary: str, percent: int) -> None:
        patience = Retrying(
            retry=retry_if_exception_type(Outdated), stop=stop_after_attempt(TRIES), reraise=True
        )
        patience(self._write, path, name, canary, percent)

    def _write(self, path: str, name: str, canary: str, percent: int) -> None:
        route = self._api.get(path)
        before = list(_rules(route))
        after = [self._weighed(route, rule, name, canary, percent) for rule in before]
        if after == before:
            return
        version = route["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"rules": after}}
        query = {"fieldManager": MANAGER}
        self._api.once("PATCH", path, query=query, body=body, content_type=MERGE)

    def _weighed(self, route: Object, rule: Object, name: str, canary: str, percent: int) -> Object:
        refs = _refs(rule)
        stable = next((ref for ref in refs if self._is(ref, name)), None)
        if stable is None:
            return rule
        others = [r for r in refs if not self._is(r, name) and not self._is(r, canary)]
        if not percent and len(others) + 1 == len(refs):
            return rule
        if others and percent:
            raise Refused(
                f"a rule of HTTPRoute {route['metadata']['name']} shares its requests between "
                f"{name} and {', '.join(str(r.get('name')) for r in others)}: weights for a canary "
                "would change that share; give the service a rule of its own, or let pods make it"
            )
        return {**rule, "backendRefs": [*_shares(stable, canary, percent), *others]}

    def _is(self, ref: Ref, name: str) -> bool:
        """Whether a backend is the Kubernetes Service of that name in this namespace."""
        return (
            ref.get("name") == name
            and ref.get("kind", "Service") == "Service"
            and not ref.get("group")
            and ref.get("namespace", self._namespace) == self._namespace
        )


def _rules(route: Object) -> Sequence[Object]:
    return route["spec"].get("rules") or ()


def _refs(rule: Object) -> Sequence[Ref]:
    return rule.get("backendRefs") or ()


def _shares(stable: Ref, canary: str, percent: int) -> Iterator[Ref]:
    if not percent:
        yield {**stable, "weight": 1}
        return
    yield {**stable, "weight": 100 - percent}
    yield {**stable, "name": canary, "weight": percent}
