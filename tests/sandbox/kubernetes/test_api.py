"""The API over HTTP: who may ask, what is refused, what an answer looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from flowmaster_delivery.sandbox.kubernetes.kinds import DEPLOYMENTS, PODS
from flowmaster_delivery.sandbox.kubernetes.requests import LARGEST_BODY
from tests.sandbox.kubernetes.lab import Lab, deployment

DEPLOYS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    """Requests as the administrator, unless told other headers."""

    def __init__(self, client: Any, token: str) -> None:
        self._client = client
        self.headers = {"authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: httpx.Response = self._client.request(
            method, path, json=json, headers={**self.headers, **named}
        )
        return answer


@pytest.fixture
def api(lab: Lab, client_of: Callable[..., Any]) -> Api:
    return Api(client_of(lab.sandbox.app), lab.sandbox.token)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    status = answer.json()
    assert (status["kind"], status["code"]) == ("Status", answer.status_code)
    return status["code"], status.get("reason", "")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic abc"])
def test_without_a_known_token_nothing_is_answered(api: Api, header: str) -> None:
    api.headers = {"authorization": header} if header else {}
    for path in (DEPLOYS, "/api", "/version", "/openapi/v3"):
        assert refusal(api("GET", path)) == (401, "Unauthorized")


def test_readiness_is_told_to_everybody(api: Api) -> None:
    api.headers = {}
    assert api("GET", "/readyz").text == "ok"


def test_the_server_says_that_it_is_a_sandbox(api: Api) -> None:
    assert api("GET", "/version").json()["gitVersion"] == "v1.33.0-sandbox"


def test_discovery_names_every_resource(api: Api) -> None:
    apps = api("GET", "/apis/apps/v1").json()["resources"]
    names = {resource["name"] for resource in apps}
    assert {"deployments", "deployments/status", "deployments/scale", "replicasets"} <= names
    groups = {group["name"] for group in api("GET", "/apis").json()["groups"]}
    assert {"apps", "batch", "coordination.k8s.io", "authorization.k8s.io"} <= groups
    assert api("GET", "/api").json()["versions"] == ["v1"]


@pytest.mark.parametrize(
    "path",
    [
        "/apis/nothing/v1/x",
        "/apis/apps/v1/namespaces/default/nothing",
        "/apis/apps/v2/namespaces/default/deployments",
        "/api/v1/namespaces/default/deployments",
        "/apis/apps/v1/deployments/web",
        "/nothing",
        "/",
        "/openapi/v3/apis/nothing/v1",
    ],
)
def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    assert refusal(api("GET", path)) == (404, "NotFound")


def test_an_unknown_object_is_named_in_the_refusal(api: Api) -> None:
    answer = api("GET", f"{DEPLOYS}/nix")
    assert answer.json()["message"] == 'deployments.apps "nix" not found'
    assert answer.json()["details"] == {"name": "nix", "group": "apps", "kind": "deployments"}


def test_a_name_is_taken_once(api: Api) -> None:
    assert api("POST", DEPLOYS, deployment()).status_code == 201
    assert refusal(api("POST", DEPLOYS, deployment())) == (409, "AlreadyExists")


def test_a_write_from_an_old_version_is_a_conflict(api: Api, lab: Lab) -> None:
    item = api("POST", DEPLOYS, deployment()).json()
    lab.advance(2)
    item["spec"]["replicas"] = 5
    assert refusal(api("PUT", f"{DEPLOYS}/web", item)) == (409, "Conflict")
    patch = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 5}}
    answer = api("PATCH", f"{DEPLOYS}/web", patch, content_type=STRATEGIC)
    assert refusal(answer) == (409, "Conflict")
    assert lab.deployment()["spec"]["replicas"] == 2


def test_another_uid_is_a_conflict(api: Api) -> None:
    item = api("POST", DEPLOYS, deployment()).json()
    item["metadata"] |= {"uid": "other", "resourceVersion": ""}
    assert refusal(api("PUT", f"{DEPLOYS}/web", item)) == (409, "Conflict")
    options = {"preconditions": {"uid": "other"}}
    assert refusal(api("DELETE", f"{DEPLOYS}/web", options)) == (409, "Conflict")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"selector": None}, ["spec.selector", "spec.template.metadata.labels"]),
        ({"selector": {"matchLabels": {"x": "y"}}}, ["spec.template.metadata.labels"]),
        ({"replicas": -1}, ["spec.replicas"]),
        ({"strategy": {"type": "Recreate", "rollingUpdate": {}}}, ["spec.strategy.rollingUpdate"]),
    ],
)
def test_an_invalid_deployment_is_refused_with_every_field(
    api: Api, changes: dict[str, Any], fields: list[str]
) -> None:
    answer = api("POST", DEPLOYS, deployment(**changes))
    assert refusal(answer) == (422, "Invalid")
    assert [cause["field"] for cause in answer.json()["details"]["causes"]] == fields


@pytest.mark.parametrize(
    "containers",
    [
        [],
        [{"name": "a"}],
        [{"image": "x"}],
        [{"name": "A_b", "image": "x"}],
        [{"name": "a", "image": "x"}, {"name": "a", "image": "y"}],
    ],
)
def test_invalid_containers_are_refused(api: Api, containers: list[Any]) -> None:
    item = deployment()
    item["spec"]["template"]["spec"]["containers"] = containers
    assert refusal(api("POST", DEPLOYS, item)) == (422, "Invalid")


@pytest.mark.parametrize(
    "item",
    [
        [],
        "x",
        {"kind": "Pod"},
        {"apiVersion": "v2"},
        {"metadata": []},
        {"metadata": {"name": "x"}, "spec": []},
        {"metadata": {"name": "x"}, "spec": {"replicas": "two"}},
        {"metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": ["x"]}}}},
        {"metadata": {"name": "x", "namespace": "other"}},
    ],
)
def test_a_body_of_another_shape_is_refused(api: Api, item: Any) -> None:
    assert refusal(api("POST", DEPLOYS, item)) == (400, "BadRequest")


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    item = {"metadata": {"name": "x"}, "data": {"x": "x" * LARGEST_BODY}}
    assert refusal(api("POST", MAPS, item)) == (413, "RequestEntityTooLarge")


def test_a_namespace_must_be_there(api: Api) -> None:
    path = DEPLOYS.replace("default", "nowhere")
    item = deployment()
    del item["metadata"]["namespace"]
    answer = api("POST", path, item)
    assert answer.json()["message"] == 'namespaces "nowhere" not found'


def test_server_side_apply_is_refused_with_415(api: Api) -> None:
    api("POST", DEPLOYS, deployment())
    kind = "application/apply-patch+yaml"
    assert refusal(api("PATCH", f"{DEPLOYS}/web", {}, content_type=kind)) == (
        415,
        "UnsupportedMediaType",
    )


def test_a_dry_run_changes_nothing(api: Api, lab: Lab) -> None:
    assert api("POST", f"{DEPLOYS}?dryRun=All", deployment()).status_code == 201
    assert lab.store.all(DEPLOYMENTS) == []
    api("POST", DEPLOYS, deployment())
    lab.advance(2)
    version = lab.store.version
    patch = {"spec": {"replicas": 5}}
    answer = api("PATCH", f"{DEPLOYS}/web?dryRun=All", patch, content_type=STRATEGIC)
    assert answer.json()["spec"]["replicas"] == 5
    assert api("DELETE", f"{DEPLOYS}/web?dryRun=All").status_code == 200
    assert lab.store.version == version
    assert refusal(api("POST", f"{DEPLOYS}?dryRun=Some", deployment("b")))[0] == 422
    assert refusal(api("POST", f"{DEPLOYS}?dryRun=All", deployment())) == (409, "AlreadyExists")


def test_the_status_subresource_writes_the_status_alone(api: Api, lab: Lab) -> None:
    api("POST", DEPLOYS, deployment())
    patch = {"spec": {"replicas": 7}, "metadata": {"labels": {"a": "b"}}, "status": {"replicas": 9}}
    answer = api("PATCH", f"{DEPLOYS}/web/status", patch, content_type=STRATEGIC).json()
    assert (answer["spec"]["replicas"], answer["status"]["replicas"]) == (2, 9)
    assert "labels" not in answer["metadata"]
    assert answer["metadata"]["generation"] == 1
    answer = api("PATCH", f"{DEPLOYS}/web", patch, content_type=STRATEGIC).json()
    assert (answer["spec"]["replicas"], answer["metadata"]["labels"]) == (7, {"a": "b"})


def test_the_scale_subresource_reads_and_writes_the_number_of_pods(api: Api, lab: Lab) -> None:
    api("POST", DEPLOYS, deployment())
    lab.advance(2)
    scale = api("GET", f"{DEPLOYS}/web/scale").json()
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == (
        "Scale",
        {"replicas": 2},
        "app=web",
    )
    patch = {"spec": {"replicas": 3}}
    kind = "application/merge-patch+json"
    answer = api("PATCH", f"{DEPLOYS}/web/scale", patch, content_type=kind)
    assert answer.json()["spec"] == {"replicas": 3}
    lab.advance(2)
    assert lab.deployment()["status"]["replicas"] == 3
    scale["spec"]["replicas"] = 9
    assert refusal(api("PUT", f"{DEPLOYS}/web/scale", scale)) == (409, "Conflict")
    assert refusal(api("GET", f"{MAPS}/x/scale")) == (404, "NotFound")


def test_a_lock_is_written_with_its_version_only(api: Api) -> None:
    """Leases refuse an update that does not say which state it is meant for, and PUT creates."""
    lease = {"metadata": {"name": "web"}, "spec": {"holderIdentity": "a"}}
    made = api("PUT", f"{LEASES}/web", lease)
    assert made.status_code == 201
    assert refusal(api("PUT", f"{LEASES}/web", lease)) == (422, "Invalid")
    mine = made.json()
    mine["spec"]["holderIdentity"] = "b"
    assert api("PUT", f"{LEASES}/web", mine).status_code == 200
    assert refusal(api("PUT", f"{LEASES}/web", mine)) == (409, "Conflict")


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", "soon"])
def test_a_lock_s_times_have_six_decimals(api: Api, moment: str) -> None:
    lease = {"metadata": {"name": "web"}, "spec": {"renewTime": moment}}
    assert refusal(api("POST", LEASES, lease)) == (400, "BadRequest")


def test_a_list_comes_in_pages(api: Api) -> None:
    for number in range(5):
        api("POST", MAPS, {"metadata": {"name": f"c{number}"}})
    names: list[str] = []
    query = "limit=2"
    while True:
        answer = api("GET", f"{MAPS}?{query}").json()
        names += [item["metadata"]["name"] for item in answer["items"]]
        if "continue" not in answer["metadata"]:
            break
        query = f"limit=2&continue={answer['metadata']['continue']}"
    assert names == [f"c{number}" for number in range(5)]
    assert refusal(api("GET", f"{MAPS}?continue=xx")) == (400, "BadRequest")
    assert refusal(api("GET", f"{MAPS}?limit=x")) == (400, "BadRequest")


def test_a_list_is_of_its_kind_and_obeys_selectors(api: Api) -> None:
    for name in ("a", "b"):
        api("POST", MAPS, {"metadata": {"name": name, "labels": {"team": name}}})
    answer = api("GET", f"{MAPS}?labelSelector=team%3Da").json()
    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert [item["metadata"]["name"] for item in answer["items"]] == ["a"]
    assert refusal(api("GET", f"{MAPS}?fieldSelector=data.x%3Dy")) == (400, "BadRequest")
    everywhere = api("GET", "/api/v1/configmaps").json()
    assert len(everywhere["items"]) == 2


def test_a_table_is_answered_to_those_who_ask_for_one(api: Api, lab: Lab) -> None:
    lab.apply(deployment(), 2)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = api("GET", DEPLOYS, accept=accept).json()
    columns = [c["name"] for c in table["columnDefinitions"] if not c["priority"]]
    assert columns == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    assert table["rows"][0]["cells"][:4] == ["web", "2/2", 2, 2]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize("plural", ["pods", "services", "events", "nodes", "namespaces", "secrets"])
def test_every_kind_has_a_table(api: Api, lab: Lab, plural: str) -> None:
    lab.apply(deployment(), 2)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    lab.apply({**service, "spec": {"ports": [{"port": 80}]}})
    lab.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b"}})
    table = api("GET", f"/api/v1/{plural}", accept="application/json;as=Table;v=v1").json()
    assert table["rows"]
    assert {len(r["cells"]) for r in table["rows"]} == {len(table["columnDefinitions"])}


def test_streaming_lists_are_refused_so_that_clients_fall_back(api: Api) -> None:
    answer = api("GET", f"{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
    assert refusal(answer) == (422, "Invalid")


def test_a_flag_or_version_that_cannot_be_read_is_refused(api: Api) -> None:
    assert refusal(api("GET", f"{MAPS}?watch=maybe")) == (400, "BadRequest")
    assert refusal(api("GET", f"{MAPS}?watch=True&resourceVersion=abc")) == (400, "BadRequest")


def test_a_deleted_collection_obeys_its_selector(api: Api, lab: Lab) -> None:
    for name in ("a", "b"):
        api("POST", MAPS, {"metadata": {"name": name, "labels": {"team": name}}})
    assert api("DELETE", f"{MAPS}?labelSelector=team%3Da").status_code == 200
    assert [i["metadata"]["name"] for i in api("GET", MAPS).json()["items"]] == ["b"]


def test_a_namespace_takes_everything_in_it_along(api: Api, lab: Lab) -> None:
    api("POST", "/api/v1/namespaces", {"metadata": {"name": "dev"}})
    item = deployment()
    item["metadata"]["namespace"] = "dev"
    lab.apply(item, 2)
    assert api("DELETE", "/api/v1/namespaces/dev").json()["status"]["phase"] == "Terminating"
    lab.advance(2)
    assert refusal(api("GET", "/api/v1/namespaces/dev")) == (404, "NotFound")
    assert lab.store.all(PODS, "dev") == []


def test_orphans_stay_when_their_owner_goes(api: Api, lab: Lab) -> None:
    lab.apply(deployment(), 2)
    api("DELETE", f"{DEPLOYS}/web", {"propagationPolicy": "Orphan"})
    lab.advance(2)
    assert len(lab.pods()) == 2


def test_an_object_with_a_finalizer_waits_for_it(api: Api, lab: Lab) -> None:
    api("POST", MAPS, {"metadata": {"name": "a", "finalizers": ["x/y"]}})
    assert "deletionTimestamp" in api("DELETE", f"{MAPS}/a").json()["metadata"]
    patch = {"metadata": {"finalizers": None}}
    api("PATCH", f"{MAPS}/a", patch, content_type="application/merge-patch+json")
    assert refusal(api("GET", f"{MAPS}/a")) == (404, "NotFound")


def test_a_generated_name_is_completed(api: Api) -> None:
    made = api("POST", MAPS, {"metadata": {"generateName": "run-"}}).json()["metadata"]["name"]
    assert made.startswith("run-")
    assert len(made) == 9


def test_who_a_token_belongs_to_is_told(api: Api, lab: Lab) -> None:
    token = lab.sandbox.add_token("jane@example.test", ("seniors",))
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = api("POST", path, {"spec": {"token": token}}).json()["status"]
    assert status["authenticated"]
    assert status["user"]["username"] == "jane@example.test"
    assert "seniors" in status["user"]["groups"]
    status = api("POST", path, {"spec": {"token": "forged"}}).json()["status"]
    assert not status.get("authenticated")


def test_access_is_reviewed_in_json_and_in_protobuf(api: Api) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert api("POST", path, {"spec": {}}).json()["status"]["allowed"]
    protobuf = "application/vnd.kubernetes.protobuf"
    assert api("POST", path, {}, content_type=protobuf).json()["status"]["allowed"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("application/xml", 415), ("application/vnd.kubernetes.protobuf", 400), ("text/json", 201)],
)
def test_a_body_is_read_by_its_type(api: Api, kind: str, code: int) -> None:
    assert api("POST", MAPS, {"metadata": {"name": "a"}}, content_type=kind).status_code == code


def test_the_proxy_answers_for_the_pod(lab: Lab, client_of: Callable[..., Any]) -> None:
    lab.apply(deployment(replicas=1), 2)
    api = Api(client_of(lab.sandbox.app), lab.sandbox.token)
    pod = lab.pods()[0]["metadata"]["name"]
    for name in (pod, f"{pod}:8080", f"http:{pod}:8080"):
        answer = api("GET", f"/api/v1/namespaces/default/pods/{name}/proxy/health?deep=1")
        assert (answer.status_code, answer.json()["service"]) == (200, "web")
    assert api("GET", f"/api/v1/namespaces/default/pods/https:{pod}:1/proxy/").status_code == 400


def test_a_pod_that_does_not_run_cannot_be_reached(api: Api, lab: Lab) -> None:
    lab.images.missing.add("shop/web:9")
    lab.order("crash", "shop/proxy:1")
    lab.apply(deployment(replicas=1, image="shop/web:9"), 2)
    pod = lab.pods()[0]["metadata"]["name"]
    answer = api("GET", f"/api/v1/namespaces/default/pods/{pod}/proxy/health")
    assert refusal(answer) == (503, "ServiceUnavailable")


def test_the_log_tells_how_the_last_process_ended(api: Api, lab: Lab) -> None:
    lab.order("crash", "shop/web:1", message="panic: no database")
    lab.apply(deployment(replicas=1), 4)
    pod = lab.pods()[0]["metadata"]["name"]
    log = f"/api/v1/namespaces/default/pods/{pod}/log?container="
    assert "panic: no database" in api("GET", f"{log}web&previous=true").text
    assert "ready to serve" in api("GET", f"{log}proxy").text
    assert refusal(api("GET", f"{log}nothing")) == (400, "BadRequest")
