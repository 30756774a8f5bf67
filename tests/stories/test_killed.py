"""A run whose process is killed in the middle of a rollout is continued by the next one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.sandbox.orders import PodBehaviour
from flowmaster_delivery.settings import environ_of_child
from tests.contracts.clusters import CONTEXT, SandboxTarget, sandbox
from tests.stories.rolling import NAMESPACE, a_lab, deliver

ROOT = Path(__file__).parents[2]
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LONG_AGO = "2026-01-01T00:00:00.000000Z"
REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A cluster with api's old image; what comes next takes six seconds to get ready."""
    with sandbox(tmp_path) as target:
        assert isinstance(target, SandboxTarget)
        made = Api(connect(target.kubeconfig, CONTEXT))
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        made.once("POST", "/api/v1/namespaces", body=body)
        made.once("POST", APPS, body=_deployment(f"registry/api@sha256:{'0' * 64}"))
        _until(lambda: _status(made).get("availableReplicas") == 1)
        target.behaviours.default_pod = PodBehaviour(ready_after=6.0)
        yield made
        made.close()


def _deployment(image: str) -> dict[str, Any]:
    labels = {"app": "api"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "api", "image": image}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api"},
        "spec": spec,
    }


def _status(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"{APPS}/api").get("status", {})
    return found


def _generation(api: Api) -> int:
    return int(api.get(f"{APPS}/api")["metadata"]["generation"])


def _until(true: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.05)


def _its_time_is_over(api: Api) -> str:
    """The lease that the killed run left runs out; who held it."""
    (lease,) = api.get(LEASES)["items"]
    holder = str(lease["spec"]["holderIdentity"])
    lease["spec"].update(renewTime=LONG_AGO, acquireTime=LONG_AGO)
    api.once("PUT", f"{LEASES}/{lease['metadata']['name']}", body=lease)
    return holder


@pytest.mark.timeout(120)
def test_a_run_whose_process_was_killed_is_continued_by_the_next(api: Api, tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "tests.stories.rolling", str(tmp_path)],
        cwd=ROOT,
        env=environ_of_child({}),
    )
    try:
        _until(lambda: _generation(api) == 2)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    holder = _its_time_is_over(api)
    with a_lab(tmp_path) as lab:
        (killed,) = lab.instance.get_runs()
        assert (killed.run_id, killed.status) == (holder, DagsterRunStatus.STARTED)
        assert lab.platform.history.deployments("api", "dev") == ()
        second = deliver(lab)
        assert second.status == "SUCCESS", second.words
        (record,) = lab.platform.history.deployments("api", "dev")
    assert (record.run_id, record.digest[:7]) == (second.run.run_id, "sha256:")
    deployed = api.get(f"{APPS}/api")
    assert record.digest in json.dumps(deployed["spec"]["template"])
    # Not the generation: that counts the fencing token too, which the second run may stamp.
    assert deployed["metadata"]["annotations"][REVISION] == "2", "the image was set twice"
