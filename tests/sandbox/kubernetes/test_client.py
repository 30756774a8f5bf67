"""The Python client against the served cluster: TLS, watches, conflicts, many rollouts at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

from flowmaster_delivery.sandbox.orders import PodBehaviour
from tests.sandbox.kubernetes.lab import deployment
from tests.sandbox.kubernetes.live import Live, served


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with served(tmp_path_factory.mktemp("cluster")) as live:
        yield live


@pytest.fixture(scope="module")
def api(live: Live) -> Iterator[Any]:
    with config.new_client_from_config(str(live.kubeconfig)) as made:
        yield client.AppsV1Api(made)


def done(item: Any) -> bool:
    status, wanted = item.status, item.spec.replicas
    counts = (status.replicas, status.updated_replicas, status.available_replicas)
    return bool(status.observed_generation == item.metadata.generation and counts == (wanted,) * 3)


def await_done(api: Any, *names: str, seconds: float = 15) -> float:
    """Seconds until all the Deployments are rolled out, as one watch sees it."""
    begin, missing = time.monotonic(), set(names)
    events = watch.Watch()
    for event in events.stream(
        api.list_namespaced_deployment, "default", timeout_seconds=int(seconds)
    ):
        if done(event["object"]):
            missing.discard(event["object"].metadata.name)
        if not missing:
            events.stop()
            return time.monotonic() - begin
    raise AssertionError(f"not rolled out after {seconds} s: {sorted(missing)}")


def image(name: str) -> dict[str, Any]:
    containers = [{"name": "web", "image": name}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def test_a_rollout_is_seen_through_a_watch(api: Any) -> None:
    api.create_namespaced_deployment("default", deployment("seen"))
    await_done(api, "seen")
    patched = api.patch_namespaced_deployment("seen", "default", image("shop/web:2"))
    assert patched.metadata.generation == 2
    await_done(api, "seen")
    containers = api.read_namespaced_deployment("seen", "default").spec.template.spec.containers
    assert [c.image for c in containers] == ["shop/web:2", "shop/proxy:1"]


def test_a_stale_replace_raises_409(api: Any) -> None:
    item = api.create_namespaced_deployment("default", deployment("stale"))
    await_done(api, "stale")
    with pytest.raises(ApiException) as refused:
        api.replace_namespaced_deployment("stale", "default", item)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")


def test_a_list_of_operations_is_a_json_patch(api: Any) -> None:
    api.create_namespaced_deployment("default", deployment("tested"))
    operation = {"op": "test", "path": "/spec/replicas", "value": 7}
    with pytest.raises(ApiException) as refused:
        api.patch_namespaced_deployment("tested", "default", [operation])
    assert refused.value.status == 422


def test_a_forgotten_version_raises_410(live: Live, api: Any) -> None:
    api.create_namespaced_deployment("default", deployment("forgotten"))
    await_done(api, "forgotten")
    live.sandbox.store.compact()
    stream = watch.Watch().stream(
        api.list_namespaced_deployment, "default", resource_version="1", timeout_seconds=2
    )
    with pytest.raises(ApiException) as refused:
        list(stream)
    assert refused.value.status == 410


def test_a_wrong_token_raises_401(live: Live, tmp_path: Path) -> None:
    forged = tmp_path / "kubeconfig"
    forged.write_text(live.kubeconfig.read_text().replace(live.sandbox.token, "forged"))
    made = config.new_client_from_config(str(forged))
    with made, pytest.raises(ApiException) as refused:
        client.AppsV1Api(made).list_namespaced_deployment("default")
    assert refused.value.status == 401


def test_29_rollouts_at_once_take_as_long_as_one(live: Live, api: Any) -> None:
    """A wave of 29 rollouts must not be slowed by the server that they run on."""
    names = [f"wave-{number}" for number in range(29)]
    for name in names:
        api.create_namespaced_deployment("default", deployment(name, replicas=1))
    await_done(api, *names)
    live.behaviours.set_pod(PodBehaviour("ready", 1.0), image="shop/web:wave")
    begin = time.monotonic()
    for name in names:
        api.patch_namespaced_deployment(name, "default", image("shop/web:wave"))
    await_done(api, *names)
    assert time.monotonic() - begin < 1.0 + 2.5
