"""PostgreSQL is killed in the middle of a rollout: the run goes on when it is back, or says clearly
that it cannot, and the next one continues it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterEventType, DagsterRunStatus

from flowmaster_delivery.adapters.kubernetes.access import connect
from flowmaster_delivery.adapters.kubernetes.api import Api
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.sandbox.orders import PodBehaviour
from tests.contracts.clusters import CONTEXT, SandboxTarget, sandbox
from tests.postgres import Postgres, a_server
from tests.stories.rolling import NAMESPACE, a_lab, deliver
from tests.stories.test_killed import APPS, LEASES, REVISION

SERVICES = ("api", "auth", "web")


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One of its own, since it is killed."""
    with a_server() as made:
        yield made


@dataclass
class Cluster:
    api: Api

    def deployment(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"{APPS}/{service}")
        return found

    def changed(self) -> bool:
        """Whether every service has its new image; its pods are on their way."""
        return all(self.revision(service) == "2" for service in SERVICES)

    def revision(self, service: str) -> str:
        """Counts the templates that a service ever had."""
        return str(self.deployment(service)["metadata"]["annotations"][REVISION])

    def leases(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(LEASES)["items"]
        return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three services with old images; what comes next takes four seconds to get ready."""
    with sandbox(tmp_path) as target:
        assert isinstance(target, SandboxTarget)
        made = Cluster(Api(connect(target.kubeconfig, CONTEXT)))
        made.api.once("POST", "/api/v1/namespaces", body=_namespace())
        for service in SERVICES:
            made.api.once("POST", APPS, body=_deployment(service))
        _until(lambda: all(_available(made, service) for service in SERVICES))
        target.behaviours.default_pod = PodBehaviour(ready_after=4.0)
        yield made
        made.api.close()


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _deployment(name: str) -> dict[str, Any]:
    image = f"registry/{name}@sha256:{'0' * 64}"
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": name, "image": image}]},
    }
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": selector, "template": template},
    }


def _available(cluster: Cluster, service: str) -> bool:
    return cluster.deployment(service).get("status", {}).get("availableReplicas") == 1


def _until(true: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.05)


@contextmanager
def an_outage(
    server: Postgres, begins: Callable[[], bool], seconds: float | None
) -> Iterator[list[str]]:
    """The server is killed when something is so, and started again some seconds later, if ever.

    What went wrong in doing so is in the list.
    """
    wrong = list[str]()

    def act() -> None:
        try:
            _until(begins)
            server.kill()
            if seconds is not None:
                time.sleep(seconds)
                server.start()
        except Exception as error:  # noqa: BLE001  # told where the test can see it
            wrong.append(repr(error))

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield wrong
    finally:
        thread.join()


@pytest.mark.timeout(150)
def test_a_run_waits_for_a_database_that_is_killed_and_changes_each_service_once(
    cluster: Cluster, server: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overrides = server.overrides(server.database())
    with (
        a_lab(tmp_path, SERVICES, overrides) as lab,
        an_outage(server, cluster.changed, seconds=10) as wrong,
        caplog.at_level(logging.WARNING),
    ):
        ran = deliver(lab, SERVICES)
        assert (ran.status, wrong) == ("SUCCESS", []), ran.words
        for service in SERVICES:
            (record,) = lab.platform.history.deployments(service, "dev")
            assert record.run_id == ran.run.run_id
            assert record.digest in json.dumps(cluster.deployment(service)["spec"]["template"])
        said = Counter(
            (event.dagster_event_type, event.step_key)
            for event in lab.instance.all_logs(ran.run.run_id)
            if event.dagster_event_type
            in (DagsterEventType.STEP_SUCCESS, DagsterEventType.RUN_SUCCESS)
        )
        assert set(said.values()) == {1}, said
    assert [cluster.revision(service) for service in SERVICES] == ["2"] * 3
    assert "gives no connection" in caplog.text


@pytest.mark.timeout(150)
def test_a_run_whose_database_stays_away_ends_with_clear_words_and_the_next_one_continues_it(
    cluster: Cluster, server: Postgres, tmp_path: Path
) -> None:
    overrides = server.overrides(server.database(), patience_seconds=3)
    with a_lab(tmp_path, SERVICES, overrides) as lab:
        began = time.monotonic()
        with (
            an_outage(server, cluster.changed, seconds=None) as wrong,
            pytest.raises(Exception, match=r"PostgreSQL at .* gave no connection for \d+ s: .*"),
        ):
            deliver(lab, SERVICES)
        assert wrong == []
        with pytest.raises(Unreachable, match=r"gives no answer: .* gave no connection for"):
            lab.platform.history.deployments("api", "dev")
        assert time.monotonic() - began < 60
        _until(lambda: all(_is_over(lease) for lease in cluster.leases()))
        server.start()
        (first,) = lab.instance.get_runs()
        assert first.status is DagsterRunStatus.STARTED
        assert lab.platform.history.deployments("api", "dev") == ()
        second = deliver(lab, SERVICES)
        assert second.status == "SUCCESS", second.words
        for service in SERVICES:
            (record,) = lab.platform.history.deployments(service, "dev")
            assert record.run_id == second.run.run_id
    assert [cluster.revision(service) for service in SERVICES] == ["2"] * 3


def _is_over(lease: dict[str, Any]) -> bool:
    """Whether nobody holds it, or whoever did has not renewed it in time."""
    spec = lease["spec"]
    if not spec.get("holderIdentity"):
        return True
    renewed = datetime.fromisoformat(spec["renewTime"])
    return datetime.now(UTC) > renewed + timedelta(seconds=spec["leaseDurationSeconds"])
