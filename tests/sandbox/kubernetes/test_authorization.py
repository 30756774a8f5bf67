"""What a token may do in the sandbox's cluster, as Roles would have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowmaster_delivery.model.rights import Act, Right
from flowmaster_delivery.sandbox.kubernetes.authorization import asked_for
from tests.sandbox.kubernetes.lab import Lab, deployment
from tests.sandbox.kubernetes.test_api import DEPLOYS, MAPS, Api, refusal

ACCOUNT = "system:serviceaccount:default:flow"
REVIEW = "/apis/authorization.k8s.io/v1"


@pytest.fixture
def narrow(lab: Lab, client_of: Callable[..., Any]) -> Api:
    """May list Deployments and patch one of them."""
    rights = [
        Right("apps", "deployments", (), ("list",)),
        Right("apps", "deployments", ("web",), ("patch",)),
    ]
    token = lab.sandbox.add_token(ACCOUNT, rights={"default": rights})
    return Api(client_of(lab.sandbox.app), token)


def test_what_is_allowed_is_done(narrow: Api, lab: Lab) -> None:
    lab.apply(deployment(), 0)
    body = {"spec": {"replicas": 3}}
    merge = "application/merge-patch+json"
    assert narrow("GET", DEPLOYS).status_code == 200
    assert narrow("PATCH", f"{DEPLOYS}/web", body, content_type=merge).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{DEPLOYS}?watch=true"),
        ("GET", f"{DEPLOYS}/web"),
        ("PATCH", f"{DEPLOYS}/other"),
        ("POST", DEPLOYS),
        ("DELETE", f"{DEPLOYS}/web"),
        ("PATCH", f"{DEPLOYS}/web/scale"),
        ("GET", "/apis/apps/v1/namespaces/kube-system/deployments"),
        ("GET", "/apis/apps/v1/deployments"),
        ("GET", MAPS),
        ("GET", "/api/v1/nodes"),
        ("GET", "/api/v1/namespaces/default"),
        ("GET", "/apis/batch/v1/namespaces/default/cronjobs/never-heard-of"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
    ],
)
def test_everything_else_is_forbidden(narrow: Api, method: str, path: str) -> None:
    assert refusal(narrow(method, path, {} if method == "POST" else None)) == (403, "Forbidden")


def test_the_refusal_says_who_may_not_do_what_and_where(narrow: Api) -> None:
    assert narrow("GET", f"{MAPS}/one").json()["message"] == (
        f'configmaps "one" is forbidden: User "{ACCOUNT}" cannot get resource "configmaps" in API '
        'group "" in the namespace "default"'
    )


def test_discovery_and_the_version_are_told_to_everybody_who_is_known(narrow: Api) -> None:
    for path in ("/api", "/apis", "/apis/apps/v1", "/version"):
        assert narrow("GET", path).status_code == 200


def test_everybody_may_ask_what_he_may(narrow: Api) -> None:
    asked = narrow("POST", f"{REVIEW}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
    rules = asked.json()["status"]["resourceRules"]
    assert rules[0] == {"verbs": ["list"], "apiGroups": ["apps"], "resources": ["deployments"]}
    assert rules[1]["resourceNames"] == ["web"]
    elsewhere = narrow("POST", f"{REVIEW}/selfsubjectrulesreviews", {"spec": {"namespace": "x"}})
    told = {rule["resources"][0] for rule in elsewhere.json()["status"]["resourceRules"]}
    assert told == {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}


@pytest.mark.parametrize(("name", "allowed"), [("web", True), ("other", False)])
def test_one_act_is_reviewed(narrow: Api, name: str, allowed: bool) -> None:
    act = {"namespace": "default", "verb": "patch", "group": "apps", "resource": "deployments"}
    body = {"spec": {"resourceAttributes": {**act, "name": name}}}
    answer = narrow("POST", f"{REVIEW}/selfsubjectaccessreviews", body).json()
    assert answer["status"]["allowed"] is allowed


@pytest.mark.parametrize(
    ("method", "path", "query", "namespace", "act"),
    [
        ("GET", "/api/v1/namespaces/a/pods/p/log", {}, "a", Act("", "pods/log", "get", "p")),
        ("GET", "/api/v1/namespaces", {}, "", Act("", "namespaces", "list")),
        ("GET", "/api/v1/namespaces/a", {}, "a", Act("", "namespaces", "get", "a")),
        (
            "GET",
            "/apis/apps/v1/namespaces/a/deployments",
            {"watch": "true"},
            "a",
            Act("apps", "deployments", "watch"),
        ),
        (
            "DELETE",
            "/apis/batch/v1/namespaces/a/jobs",
            {},
            "a",
            Act("batch", "jobs", "deletecollection"),
        ),
        (
            "GET",
            "/api/v1/namespaces/a/pods/p:8080/proxy/health",
            {},
            "a",
            Act("", "pods/proxy", "get", "p:8080"),
        ),
    ],
)
def test_a_request_is_an_act_as_the_api_server_reads_it(
    method: str, path: str, query: dict[str, str], namespace: str, act: Act
) -> None:
    assert asked_for(method, path, query) == (namespace, act)


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/apis/apps/v1", "/version", "/"])
def test_what_is_about_no_resource_is_no_act(path: str) -> None:
    assert asked_for("GET", path, {}) is None
