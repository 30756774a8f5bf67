"""kubectl against the sandbox's cluster: what people do works, and says what it always says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowmaster_delivery.sandbox.orders import PodBehaviour
from tests.sandbox.kubernetes.lab import deployment, job
from tests.sandbox.kubernetes.live import Live, served


@pytest.fixture(scope="module")
def program() -> str:
    found = shutil.which("kubectl")
    if found is None:
        if os.environ.get("FLOWMASTER_TEST_REQUIRE_REAL") == "1":
            pytest.fail("kubectl is not installed (Debian: kubernetes-client)")
        pytest.skip("kubectl is not installed (Debian: kubernetes-client)")
    return found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with served(tmp_path_factory.mktemp("cluster")) as live:
        yield live


class Kubectl:
    def __init__(self, program: str, live: Live, home: Path) -> None:
        self._command = [program, f"--kubeconfig={live.kubeconfig}", f"--cache-dir={home}"]
        self._home = home

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._home)}
        return subprocess.run(
            [*self._command, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            env=environment,
        )

    def __call__(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))


@pytest.fixture(scope="module")
def kubectl(program: str, live: Live, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(program, live, tmp_path_factory.mktemp("home"))


@pytest.fixture
def web(kubectl: Kubectl, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Name of a Deployment of two containers, rolled out, of this test alone."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:50].strip("-")
    kubectl("apply", "-f", "-", stdin=json.dumps(deployment(name)))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=20s")
    return lambda: name


def until(holds: Callable[[], bool], limit: float = 20.0) -> bool:
    """kubectl 1.20, which Debian 12 has, waits for neither JSON paths nor what is gone already."""
    deadline = time.monotonic() + limit
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.2)
    return holds()


def images(kubectl: Kubectl, name: str) -> list[str]:
    item = kubectl.json("get", "deployment", name)
    return [c["image"] for c in item["spec"]["template"]["spec"]["containers"]]


def revisions(kubectl: Kubectl, name: str) -> list[str]:
    lines = kubectl("rollout", "history", f"deployment/{name}").splitlines()
    return [line.split()[0] for line in lines if line[:1].isdigit()]


def test_get_prints_the_usual_columns(kubectl: Kubectl, web: Callable[[], str]) -> None:
    header, row = kubectl("get", "deployment", web()).splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == [web(), "2/2", "2", "2"]
    pods = kubectl("get", "pods", "-l", f"app={web()}", "-o", "wide").splitlines()
    assert [row.split()[1:4] for row in pods[1:]] == [["2/2", "Running", "0"]] * 2
    assert web() in kubectl("get", "all", "-A")


def test_describe_tells_containers_conditions_and_events(
    kubectl: Kubectl, web: Callable[[], str]
) -> None:
    told = kubectl("describe", "deployment", web())
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in told
    assert "shop/proxy:1" in told
    assert "NewReplicaSetAvailable" in told
    assert "from 0 to 2" in told
    pod = kubectl.json("get", "pods", "-l", f"app={web()}")["items"][0]["metadata"]["name"]
    assert "Successfully assigned" in kubectl("describe", "pod", pod)


def test_set_image_leaves_the_sidecar(kubectl: Kubectl, web: Callable[[], str]) -> None:
    kubectl("set", "image", f"deployment/{web()}", "web=shop/web:2")
    assert images(kubectl, web()) == ["shop/web:2", "shop/proxy:1"]
    told = kubectl("rollout", "status", f"deployment/{web()}", "--timeout=20s")
    assert told.splitlines()[-1] == f'deployment "{web()}" successfully rolled out'
    refused = kubectl.run("set", "image", f"deployment/{web()}", "nobody=shop/web:3")
    assert "unable to find container" in refused.stderr


def test_undo_goes_back_and_counts_on(kubectl: Kubectl, web: Callable[[], str]) -> None:
    """As on a real cluster: revision 1 that is used again becomes revision 3."""
    name = web()
    kubectl("set", "image", f"deployment/{name}", "web=shop/web:2")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=20s")
    assert revisions(kubectl, name) == ["1", "2"]
    assert "rolled back" in kubectl("rollout", "undo", f"deployment/{name}")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=20s")
    assert images(kubectl, name) == ["shop/web:1", "shop/proxy:1"]
    assert revisions(kubectl, name) == ["2", "3"]
    kubectl("rollout", "undo", f"deployment/{name}", "--to-revision=2")
    assert images(kubectl, name) == ["shop/web:2", "shop/proxy:1"]
    assert "shop/web:1" in kubectl("rollout", "history", f"deployment/{name}", "--revision=3")
    refused = kubectl.run("rollout", "undo", f"deployment/{name}", "--to-revision=99")
    assert "unable to find specified revision 99" in refused.stderr


def test_apply_changes_what_changed_and_diff_shows_it(
    kubectl: Kubectl, web: Callable[[], str]
) -> None:
    same = json.dumps(deployment(web()))
    other = json.dumps(deployment(web(), "shop/web:5"))
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=same)
    differs = kubectl.run("diff", "-f", "-", stdin=other)
    assert differs.returncode == 1, differs.stderr
    assert "shop/web:5" in differs.stdout
    assert images(kubectl, web())[0] == "shop/web:1"
    assert "configured" in kubectl("apply", "--dry-run=server", "-f", "-", stdin=other)
    assert images(kubectl, web())[0] == "shop/web:1"
    assert "configured" in kubectl("apply", "-f", "-", stdin=other)
    assert images(kubectl, web()) == ["shop/web:5", "shop/proxy:1"]


def test_scale_restart_pause_and_resume(kubectl: Kubectl, web: Callable[[], str]) -> None:
    name = f"deployment/{web()}"
    kubectl("scale", name, "--replicas=3")
    assert until(lambda: kubectl.json("get", name)["status"].get("availableReplicas") == 3)
    kubectl("set", "image", name, "web=shop/web:2")
    kubectl("rollout", "pause", name)
    kubectl("set", "image", name, "web=shop/web:3")
    assert "paused" in kubectl.run("rollout", "undo", name).stderr
    assert kubectl.json("get", name)["status"].get("updatedReplicas", 0) == 0
    assert "can't restart paused deployment" in kubectl.run("rollout", "restart", name).stderr
    kubectl("rollout", "resume", name)
    kubectl("rollout", "restart", name)
    kubectl("rollout", "status", name, "--timeout=20s")
    assert kubectl.json("get", name)["status"]["updatedReplicas"] == 3


def test_annotate_label_patch_and_delete(kubectl: Kubectl, web: Callable[[], str]) -> None:
    name = f"deployment/{web()}"
    kubectl("annotate", name, "kubernetes.io/change-cause=v1.2.3")
    kubectl("label", name, "team=shop")
    kubectl("patch", name, "--type=json", "-p", '[{"op":"remove","path":"/metadata/labels/team"}]')
    item = kubectl.json("get", name)
    assert item["metadata"]["annotations"]["kubernetes.io/change-cause"] == "v1.2.3"
    assert "labels" not in item["metadata"]
    assert "v1.2.3" in kubectl("rollout", "history", name)
    kubectl("delete", name)
    assert until(lambda: not kubectl.json("get", "pods", "-l", f"app={web()}")["items"])
    assert "not found" in kubectl.run("get", name).stderr


def test_a_rollout_that_fails_is_reported(
    kubectl: Kubectl, live: Live, web: Callable[[], str]
) -> None:
    live.behaviours.set_pod(PodBehaviour("crash", message="panic: no database"), image="*:bad")
    name = f"deployment/{web()}"
    deadline = '{"spec":{"progressDeadlineSeconds":1}}'
    kubectl("patch", name, "-p", deadline)
    kubectl("set", "image", name, "web=shop/web:bad")
    told = kubectl.run("rollout", "status", name, "--timeout=20s")
    assert told.returncode != 0
    assert "exceeded its progress deadline" in told.stderr
    assert until(lambda: "CrashLoopBackOff" in kubectl("get", "pods", "-l", f"app={web()}"))
    bad = next(
        pod["metadata"]["name"]
        for pod in kubectl.json("get", "pods", "-l", f"app={web()}")["items"]
        if pod["spec"]["containers"][0]["image"] == "shop/web:bad"
    )
    assert "panic: no database" in kubectl("logs", bad, "-c", "web", "--previous")


def test_what_one_may_do_and_who_one_is(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "patch", "deployments").strip() == "yes"
    assert "sandbox" in kubectl("version")


def test_create_without_a_manifest(kubectl: Kubectl) -> None:
    """Here kubectl speaks protobuf."""
    kubectl("create", "namespace", "made")
    kubectl("create", "deployment", "api", "-n=made", "--image=shop/api:1", "--port=80", "-r=2")
    kubectl("create", "configmap", "settings", "-n=made", "--from-literal=a=b")
    kubectl("create", "secret", "generic", "keys", "-n=made", "--from-literal=a=hidden")
    kubectl("create", "job", "once", "-n=made", "--image=shop/once:1", "--", "migrate", "up")
    kubectl("create", "service", "clusterip", "api", "-n=made", "--tcp=80:8080")
    kubectl("rollout", "status", "deployment/api", "-n=made", "--timeout=20s")
    kubectl("wait", "--for=condition=complete", "job/once", "-n=made", "--timeout=20s")
    spec = kubectl.json("get", "deployment", "api", "-n=made")["spec"]
    assert (spec["replicas"], spec["selector"]) == (2, {"matchLabels": {"app": "api"}})
    (container,) = spec["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert kubectl.json("get", "configmap", "settings", "-n=made")["data"] == {"a": "b"}
    assert kubectl.json("get", "secret", "keys", "-n=made")["data"] == {"a": "aGlkZGVu"}
    (port,) = kubectl.json("get", "service", "api", "-n=made")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, 8080)
    job = kubectl.json("get", "job", "once", "-n=made")["spec"]["template"]["spec"]
    assert job["containers"][0]["command"] == ["migrate", "up"]
    kubectl("delete", "namespace", "made", "--timeout=20s")


def test_server_side_apply_is_said_not_to_be_there(kubectl: Kubectl) -> None:
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=json.dumps(deployment("ssa")))
    assert refused.returncode != 0
    assert "Server-side apply not available" in refused.stderr


def test_a_jobs_last_words_are_in_its_log(kubectl: Kubectl, live: Live) -> None:
    image = "shop/migrate:words"
    live.behaviours.set_pod(PodBehaviour("crash", 0.1, "column exists already"), image=image)
    body = job("words", backoffLimit=0)
    body["spec"]["template"]["spec"]["containers"][0]["image"] = image
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    assert until(lambda: bool(kubectl.json("get", "job", "words")["status"].get("failed")))
    assert "column exists already" in kubectl("logs", "job/words")


def test_an_http_route_is_made_read_and_changed(kubectl: Kubectl) -> None:
    rule = {"backendRefs": [{"name": "web", "port": 80}]}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {"rules": [rule]},
    }
    kubectl("create", "-f", "-", stdin=json.dumps(route))
    assert "shop" in kubectl("get", "httproutes")
    patch = {"spec": {"rules": [{"backendRefs": [{"name": "api", "port": 80}]}]}}
    kubectl("patch", "httproute", "shop", "--type=merge", "-p", json.dumps(patch))
    assert kubectl.json("get", "httproute", "shop")["spec"] == patch["spec"]
    refused = kubectl.run("patch", "httproute", "shop", "--type=strategic", "-p", "{}")
    assert "strategic-merge-patch+json is not supported by gateway" in refused.stderr
