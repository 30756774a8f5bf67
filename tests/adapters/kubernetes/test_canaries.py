"""Canaries and route weights where the API server misbehaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowmaster_delivery.adapters.kubernetes.cluster import KubernetesCluster
from flowmaster_delivery.model.catalog import Kind, Service
from flowmaster_delivery.model.errors import DeliveryError, Denied, NotFound, Unreachable
from flowmaster_delivery.model.rollout import Workload
from tests.fakes.far_end import FarEnd, Reply

API = Service("api", Kind.DEPLOYMENT, "r", "api", "group/api")
DEPLOYMENTS = "/apis/apps/v1/namespaces/dev/deployments"
SERVICES = "/api/v1/namespaces/dev/services"
GATEWAY = "/apis/gateway.networking.k8s.io"
SLOW = Reply({}, delay=1.0)
LABELS = {"app": "api"}


def a_deployment(name: str, image: str, run: str = "", owner: str = "") -> Reply:
    meta = {
        "name": name,
        "namespace": "dev",
        "uid": f"uid-{name}",
        "resourceVersion": "5",
        "labels": {"flowmaster.ai/canary-of": owner} if owner else {},
        "annotations": {"flowmaster.ai/run": run},
    }
    pods = {"spec": {"containers": [{"name": "api", "image": image}]}}
    template = {"metadata": {"labels": LABELS}, **pods}
    return Reply({"metadata": meta, "spec": {"replicas": 2, "template": template}})


def create(cluster: KubernetesCluster) -> Workload:
    return cluster.create_canary(
        API, "new@sha256:1", pods=1, annotations={"flowmaster.ai/run": "r"}
    )


def status(code: int, reason: str = "") -> Reply:
    return Reply({"kind": "Status", "reason": reason, "message": "said so", "code": code}, code)


def test_a_canary_whose_creation_got_no_answer_is_looked_for(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(f"{DEPLOYMENTS}/api", a_deployment("api", "old"))
    far.say(DEPLOYMENTS, SLOW, method="POST")
    far.say(f"{DEPLOYMENTS}/api-canary", a_deployment("api-canary", "new@sha256:1", "r", "api"))
    assert create(cluster).uid == "uid-api-canary"
    assert [asked.method for asked in far.asked].count("POST") == 1


@pytest.mark.parametrize(
    "found",
    [
        status(404),
        a_deployment("api-canary", "new@sha256:1", "another", "api"),
        a_deployment("api-canary", "other", "r", "api"),
    ],
)
def test_a_canary_that_was_not_created_in_time_is_unreachable(
    far: FarEnd, cluster: KubernetesCluster, found: Reply
) -> None:
    far.say(f"{DEPLOYMENTS}/api", a_deployment("api", "old"))
    far.say(DEPLOYMENTS, SLOW, method="POST")
    far.say(f"{DEPLOYMENTS}/api-canary", found)
    with pytest.raises(Unreachable):
        create(cluster)


def test_a_service_whose_container_is_misnamed_gets_no_canary(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(f"{DEPLOYMENTS}/api", a_deployment("api", "old"))
    misnamed = Service("api", Kind.DEPLOYMENT, "r", "api", "group/api", container="app")
    with pytest.raises(NotFound, match="no container 'app' but api; correct `container`"):
        cluster.create_canary(misnamed, "new", pods=1, annotations={})
    assert [asked.method for asked in far.asked] == ["GET"]


def test_a_removal_names_the_uid_and_takes_the_pods_along(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    path = f"{DEPLOYMENTS}/api-canary"
    far.say(path, a_deployment("api-canary", "new", owner="api"))
    far.say(path, Reply({}), method="DELETE")
    cluster.remove(API.canary, "uid-api-canary")
    [deletion] = [asked for asked in far.asked if asked.method == "DELETE"]
    options = json.loads(deletion.body)
    assert options["preconditions"] == {"uid": "uid-api-canary"}
    assert options["propagationPolicy"] == "Background"


def test_canaries_that_cannot_be_listed_are_not_none(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    far.say(DEPLOYMENTS, status(403))
    with pytest.raises(Denied):
        cluster.canaries()


@pytest.mark.parametrize(("code", "error"), [(503, Unreachable), (403, Denied), (401, Denied)])
def test_a_cluster_that_does_not_say_what_it_has_is_not_one_without_routes(
    far: FarEnd, cluster: KubernetesCluster, code: int, error: type[DeliveryError]
) -> None:
    far.say(GATEWAY, status(code))
    with pytest.raises(error):
        cluster.weigh(API, 10)


def a_gateway(far: FarEnd, *versions: str) -> str:
    """Routes of the best version that we speak; the path of the one that leads to the service."""
    far.say(GATEWAY, Reply({"versions": [{"version": version} for version in versions]}))
    far.say(f"{DEPLOYMENTS}/api", a_deployment("api", "old"))
    front = {"metadata": {"name": "api"}, "spec": {"selector": LABELS}}
    far.say(SERVICES, Reply({"items": [front]}))
    far.say(f"{SERVICES}/api-canary", Reply(front))
    best = "v1" if "v1" in versions else "v1beta1"
    routes = f"{GATEWAY}/{best}/namespaces/dev/httproutes"
    route: dict[str, Any] = {
        "metadata": {"name": "shop", "resourceVersion": "7"},
        "spec": {"rules": [{"backendRefs": [{"name": "api", "port": 80}]}]},
    }
    far.say(routes, Reply({"items": [route]}))
    far.say(f"{routes}/shop", Reply(route))
    return f"{routes}/shop"


@pytest.mark.parametrize("versions", [("v1beta1", "v1"), ("v1alpha2", "v1beta1")])
def test_weights_are_written_on_the_version_that_was_read(
    far: FarEnd, cluster: KubernetesCluster, versions: tuple[str, ...]
) -> None:
    path = a_gateway(far, *versions)
    far.say(path, Reply({}), method="PATCH")
    assert cluster.weigh(API, 10) == "HTTPRoute shop: 90 % to api, 10 % to api-canary"
    [write] = [asked for asked in far.asked if asked.method == "PATCH"]
    assert json.loads(write.body)["metadata"]["resourceVersion"] == "7"
    assert write.headers["Content-Type"] == "application/merge-patch+json"


def test_a_cluster_that_has_only_versions_we_do_not_speak_has_no_weights(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    a_gateway(far, "v1alpha2")
    assert cluster.weigh(API, 10) is None


def test_a_route_whose_status_was_written_meanwhile_is_read_again(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    path = a_gateway(far, "v1")
    far.say(path, status(409, "Conflict"), Reply({}), method="PATCH")
    assert cluster.weigh(API, 10)
    assert [asked.method for asked in far.asked if asked.path == path] == ["GET", "PATCH"] * 2


def test_a_route_of_another_namespaces_service_is_not_ours(
    far: FarEnd, cluster: KubernetesCluster
) -> None:
    path = a_gateway(far, "v1")
    other = {"name": "api", "namespace": "elsewhere", "port": 80}
    route = {"metadata": {"name": "shop"}, "spec": {"rules": [{"backendRefs": [other]}]}}
    far.say(path.rpartition("/")[0], Reply({"items": [route]}))
    assert cluster.weigh(API, 10) is None
