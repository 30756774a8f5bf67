"""What a cluster says of itself, and of what we may do there."""

from __future__ import annotations

from collections.abc import Iterator

from flowmaster_delivery.adapters.kubernetes.api import Api, Object
from flowmaster_delivery.adapters.wire import clock_of
from flowmaster_delivery.model.checkup import Granted, ServerFacts
from flowmaster_delivery.model.errors import Malformed
from flowmaster_delivery.model.rights import Act, Right

REVIEWS = "/apis/authorization.k8s.io/v1"


class Inspector:
    """One namespace of an API server. Everybody whom the server knows may ask this."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace

    def server(self) -> ServerFacts:
        version = str(self._api.get("/version").get("gitVersion") or "of unknown version")
        return ServerFacts(version, clock_of(self._api.date()))

    def rights(self) -> Granted:
        status = self._review("SelfSubjectRulesReview", {"namespace": self._namespace})
        rules = status.get("resourceRules") or ()
        rights = tuple(right for rule in rules for right in _rights(rule))
        return Granted(rights, complete=not status.get("incomplete"))

    def may(self, act: Act) -> bool:
        resource, _, sub = act.resource.partition("/")
        attributes = {
            "namespace": self._namespace,
            "verb": act.verb,
            "group": act.group,
            "resource": resource,
            "subresource": sub,
            "name": act.name,
        }
        status = self._review("SelfSubjectAccessReview", {"resourceAttributes": attributes})
        return bool(status.get("allowed"))

    def _review(self, kind: str, spec: Object) -> Object:
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = self._api.once("POST", f"{REVIEWS}/{kind.lower()}s", body=body)
        status = answer.get("status")
        if not isinstance(status, dict):
            raise Malformed(f"the cluster at {self._api.server} answered a {kind} without a status")
        return status


def _rights(rule: Object) -> Iterator[Right]:
    verbs = tuple(sorted(rule.get("verbs") or ()))
    names = tuple(sorted(rule.get("resourceNames") or ()))
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            yield Right(group, resource, names, verbs)
