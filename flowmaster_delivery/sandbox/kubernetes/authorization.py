"""Who may do what: rights by namespace, as Roles give them, and what a request asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowmaster_delivery.model.rights import ANYTHING, Act, Right
from flowmaster_delivery.sandbox.kubernetes.kinds import Object
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError

MASTERS = "system:masters"
"""Members may do everything."""
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
REVIEWS = "authorization.k8s.io"
ABOUT_ONESELF = {
    "SelfSubjectAccessReview": "selfsubjectaccessreviews",
    "SelfSubjectRulesReview": "selfsubjectrulesreviews",
}
"""Kind to plural of what everybody may create who is known."""


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...]
    rights: Mapping[str, Sequence[Right]] = field(default_factory=dict)
    """By namespace."""

    def may(self, namespace: str, act: Act) -> bool:
        if MASTERS in self.groups:
            return True
        return any(right.allows(act) for right in self.rights.get(namespace, ()))

    def rules_in(self, namespace: str) -> list[Object]:
        """What a review of one's own rules answers."""
        if MASTERS in self.groups:
            return [_rule(Right(ANYTHING, ANYTHING, (), (ANYTHING,)))]
        about_oneself = (
            Right(REVIEWS, resource, (), ("create",)) for resource in ABOUT_ONESELF.values()
        )
        return [_rule(right) for right in (*self.rights.get(namespace, ()), *about_oneself)]

    def as_json(self) -> Object:
        return {"username": self.name, "groups": [*self.groups, "system:authenticated"]}


def asked_for(method: str, path: str, query: Mapping[str, str]) -> tuple[str, Act] | None:
    """Namespace and act of a request; None where it is about no resource (discovery)."""
    steps = path.strip("/").split("/")
    if steps[0] == "api" and len(steps) > 2:
        group, steps = "", steps[2:]
    elif steps[0] == "apis" and len(steps) > 3:
        group, steps = steps[1], steps[3:]
    else:
        return None
    namespace = ""
    if steps[0] == "namespaces" and len(steps) > 1:
        namespace = steps[1]
        steps = steps[2:] if len(steps) > 2 else steps
    resource, name, subresource = (*steps, "", "")[:3]
    whole = f"{resource}/{subresource}" if subresource else resource
    return namespace, Act(group, whole, _verb(method, name, query), name)


def refuse_unless_allowed(user: User, method: str, path: str, query: Mapping[str, str]) -> None:
    """Raise 403 as the API server does: before it is known whether there is such a thing."""
    asked = asked_for(method, path, query)
    if asked and not user.may(*asked):
        raise forbidden(user, *asked)


def forbidden(user: User, namespace: str, act: Act) -> ApiError:
    plural = act.resource.partition("/")[0]
    what = f"{plural}.{act.group}" if act.group else plural
    named = f' "{act.name}"' if act.name else ""
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    words = (
        f'{what}{named} is forbidden: User "{user.name}" cannot {act.verb} resource '
        f'"{act.resource}" in API group "{act.group}"{where}'
    )
    details = {"name": act.name, "group": act.group, "kind": plural}
    return ApiError(403, "Forbidden", words, {k: v for k, v in details.items() if v})


def act_in(attributes: Object) -> tuple[str, Act]:
    """Namespace and act of the resource attributes of an access review."""
    sub = attributes.get("subresource")
    resource = str(attributes.get("resource", ""))
    act = Act(
        str(attributes.get("group", "")),
        f"{resource}/{sub}" if sub else resource,
        str(attributes.get("verb", "")),
        str(attributes.get("name", "")),
    )
    return str(attributes.get("namespace", "")), act


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method in VERBS:
        return VERBS[method]
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if query.get("watch", "") in ("true", "1", "True"):
        return "watch"
    return "get" if name else "list"


def _rule(right: Right) -> Object:
    names = {"resourceNames": list(right.names)} if right.names else {}
    rule: Object = {
        "verbs": list(right.verbs),
        "apiGroups": [right.group],
        "resources": [right.resource],
    }
    return rule | names
