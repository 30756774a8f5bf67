"""Runs as pods: what the launcher makes of a run on a cluster, the sandbox's and a real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import FileCodePointer, ModuleCodePointer
from dagster._core.launcher.base import WorkerStatus

from flowmaster_delivery.defs.submissions import voucher
from flowmaster_delivery.model.seal import seal
from flowmaster_delivery.policy.asking import Asker, Via
from tests.contracts.launching import IMAGE, Site, an_origin, environment_variables, job_name, site
from tests.contracts.namespaces import Namespace, await_until

DANA = Asker("dana", Via.GRANT)
POD_TAG = {
    "dagster-k8s/config": json.dumps(
        {
            "pod_spec_config": {
                "service_account_name": "admin",
                "volumes": [{"name": "theirs", "secret": {"secret_name": "flowmaster-production"}}],
            },
            "container_config": {
                "image": "evil.test/image",
                "command": ["sh"],
                "env": [{"name": "FLOWMASTER_KUBECONFIG", "value": "/theirs"}],
                "volume_mounts": [{"name": "theirs", "mount_path": "/theirs"}],
            },
        }
    ),
    "dagster-k8s/resource_requirements": json.dumps({"limits": {"memory": "64Gi"}}),
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_variables(tmp_path).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(room: Namespace, tmp_path: Path, environment: None) -> Iterator[Site]:
    with site(tmp_path, room) as made:
        yield made


def pod_of(here: Site, run: DagsterRun) -> dict[str, Any]:
    """The spec of the run's pod as the API server has it."""
    found: dict[str, Any] = here.job(run)["spec"]["template"]["spec"]
    return found


def secrets_in(pod: dict[str, Any]) -> dict[str, str]:
    """The Secret behind each folder that the container sees."""
    sources = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounts = pod["containers"][0]["volumeMounts"]
    return {m["mountPath"]: sources[m["name"]] for m in mounts if m["name"] in sources}


def variables_in(pod: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in pod["containers"][0]["env"]}


def test_on_this_cluster_a_run_is_its_environments_service_account(here: Site) -> None:
    run = here.launched("dev")
    assert run.status is DagsterRunStatus.STARTING
    pod = pod_of(here, run)
    assert pod["serviceAccountName"] == "flowmaster-env-dev"
    assert pod["automountServiceAccountToken"] is True
    assert secrets_in(pod) == {}
    assert "FLOWMASTER_KUBECONFIG" not in variables_in(pod)


def test_on_another_cluster_it_holds_that_kubeconfig_and_no_token_of_this_one(here: Site) -> None:
    pod = pod_of(here, here.launched("production"))
    assert pod["serviceAccountName"] == "flowmaster-env-production"
    assert pod["automountServiceAccountToken"] is False
    assert secrets_in(pod) == {
        "/etc/flowmaster/kubeconfig": "flowmaster-production",
        "/etc/flowmaster/smoke": "flowmaster-production-smoke",
    }
    told = variables_in(pod)
    assert told["FLOWMASTER_KUBECONFIG"] == "/etc/flowmaster/kubeconfig/kubeconfig"
    assert told["FLOWMASTER_SECRETS_DIR"] == "/etc/flowmaster/smoke"


def test_its_pod_is_hardened_and_tried_once(here: Site) -> None:
    job = here.job(here.launched("dev"))
    spec, template = job["spec"], job["spec"]["template"]
    pod, container = template["spec"], template["spec"]["containers"][0]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 7200 + 900)
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] == 45
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsGroup": 10001,
        "runAsNonRoot": True,
        "runAsUser": 10001,
    }
    empty = {v["name"] for v in pod["volumes"] if "emptyDir" in v}
    writable = {m["mountPath"] for m in container["volumeMounts"] if m["name"] in empty}
    assert writable == {"/tmp", "/opt/dagster/home"}  # noqa: S108  # in the pod
    annotations = template["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_job_and_pod_are_labelled_as_the_platforms(here: Site) -> None:
    run = here.launched("production")
    job = here.job(run)
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels["app.kubernetes.io/part-of"] == "flowmaster-delivery"
        assert labels["app.kubernetes.io/component"] == "run"
        assert labels["flowmaster.ai/environment"] == "production"
        assert labels["dagster/run-id"] == run.run_id


def test_what_the_installation_says_of_all_pods_is_in_it(
    room: Namespace, tmp_path: Path, environment: None
) -> None:
    said = {
        "env": [
            {"name": "DAGSTER_HOME", "value": "/opt/dagster/home"},
            {"name": "FLOWMASTER_DATABASE_HOST", "value": "$(DB_SERVICE_HOST)"},
        ],
        "image_pull_secrets": [{"name": "registry"}],
        "labels": {"app.kubernetes.io/instance": "fm"},
        "resources": {"limits": {"memory": "1Gi"}},
        "run_k8s_config": {"pod_spec_config": {"nodeSelector": {"pool": "platform"}}},
        "volumes": [
            {"name": "config", "configMap": {"name": "fm-catalog"}},
            {"name": "home", "emptyDir": {}},
        ],
        "volume_mounts": [
            {"name": "config", "mountPath": "/etc/flowmaster/config", "readOnly": True},
            {"name": "home", "mountPath": "/opt/dagster/home"},
        ],
    }
    with site(tmp_path, room, **said) as here:
        run = here.launched("dev")
        job, pod = here.job(run), pod_of(here, run)
    container = pod["containers"][0]
    names = [v["name"] for v in container["env"]]
    assert names.count("DAGSTER_HOME") == 1
    assert variables_in(pod)["FLOWMASTER_DATABASE_HOST"] == "$(DB_SERVICE_HOST)"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert job["metadata"]["labels"]["app.kubernetes.io/instance"] == "fm"
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert pod["nodeSelector"] == {"pool": "platform"}
    paths = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    assert paths["/etc/flowmaster/config"] == "config"
    assert paths["/opt/dagster/home"] == "home"


def test_neither_tags_nor_the_code_location_say_how_a_pod_is_made(here: Site) -> None:
    """The coordinator refuses such tags; were one to get by, it would change nothing."""
    context = {"k8s": {"service_account_name": "admin", "namespace": "kube-system"}}
    origin = an_origin(
        container_image="evil.test/image", container_context=context, entry_point=["sh", "-c"]
    )
    run = here.submitted("dev", origin=origin)
    here.instance.add_run_tags(run.run_id, POD_TAG)
    here.launch(run)
    pod = pod_of(here, run)
    container = pod["containers"][0]
    assert pod["serviceAccountName"] == "flowmaster-env-dev"
    assert container["image"] == IMAGE
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert "command" not in container
    assert secrets_in(pod) == {}
    assert "FLOWMASTER_KUBECONFIG" not in variables_in(pod)
    assert "limits" not in container["resources"]


def refused(here: Site, run: DagsterRun) -> str:
    """The words of a run that has failed for good, without a Job."""
    assert run.status is DagsterRunStatus.FAILURE
    assert run.tags["dagster/will_retry"] == "false"
    assert not here.room.has("jobs", job_name(run))
    return here.words(run)


def test_a_run_that_nobody_vouches_for_is_refused(here: Site) -> None:
    run = here.launch(here.created("dev"))
    assert "nobody vouches for this run" in refused(here, run)


def test_a_run_with_a_forged_voucher_is_refused(here: Site) -> None:
    run = here.created("dev")
    forged = seal("a key that somebody guessed", voucher(run.run_id, DANA, "dev"))
    here.instance.add_run_tags(run.run_id, {"flowmaster/voucher": forged})
    assert "nobody vouches for this run" in refused(here, here.launch(run))


def test_a_run_with_the_voucher_of_another_run_is_refused(here: Site) -> None:
    vouched = here.submitted("production")
    copied = {"flowmaster/voucher": vouched.tags["flowmaster/voucher"]}
    run = here.launch(here.created("production", copied))
    assert "nobody vouches for this run" in refused(here, run)


@pytest.mark.parametrize("change", ["dagster/partition", "dagster/asset_partition_range_end"])
def test_a_run_whose_tags_say_another_environment_than_its_voucher_is_refused(
    here: Site, change: str
) -> None:
    run = here.submitted("dev")
    here.instance.add_run_tags(run.run_id, {change: "production"})
    assert "it was admitted for dev, and its tags say production" in refused(here, here.launch(run))


def test_a_run_of_an_environment_that_the_launcher_does_not_know_is_refused(here: Site) -> None:
    run = here.launched("staging")
    assert "the run launcher knows no environment 'staging'" in refused(here, run)


@pytest.mark.parametrize(
    "pointer",
    [
        ModuleCodePointer("evil", "defs", None),
        ModuleCodePointer("flowmaster_delivery_evil.definitions", "defs", None),
        FileCodePointer("/tmp/evil.py", "defs", None),  # noqa: S108  # a path that is refused
    ],
)
def test_other_code_than_the_platforms_is_refused(here: Site, pointer: Any) -> None:
    run = here.launched("dev", origin=an_origin(code_pointer=pointer))
    assert "its code is not the platform's" in refused(here, run)


def test_a_job_that_the_cluster_refuses_is_told_in_its_words(
    room: Namespace, tmp_path: Path, environment: None
) -> None:
    with site(tmp_path, room, job_namespace="there-is-none") as here:
        run = here.launched("dev")
        said = refused(here, run)
    assert "Kubernetes refuses its Job (404)" in said
    assert "check that the namespace of `job_namespace` exists" in said


def test_a_run_whose_pod_is_there_is_running(here: Site) -> None:
    run = here.begun(here.launched("dev"))
    await_until(lambda: here.room.names("pods") != set())
    assert here.health(run).status is WorkerStatus.RUNNING


def test_a_run_is_not_failed_because_the_api_server_was_away_for_a_moment(here: Site) -> None:
    run = here.begun(here.launched("dev"))
    here.way.close()
    first, second = here.health(run), here.health(run)
    assert (first.status, first.transient) == (WorkerStatus.RUNNING, True)
    assert second.status is WorkerStatus.RUNNING
    here.way.open()
    again = here.health(run)
    assert (again.status, again.transient) == (WorkerStatus.RUNNING, None)
    assert here.words(run).count("Kubernetes does not show this run's pod") == 1


def test_a_run_is_lost_when_the_api_server_is_away_for_longer(
    room: Namespace, tmp_path: Path, environment: None
) -> None:
    with site(tmp_path, room, patience_seconds=0.2) as here:
        run = here.begun(here.launched("dev"))
        here.way.close()
        assert here.health(run).status is WorkerStatus.RUNNING
        await_until(lambda: here.health(run).status is WorkerStatus.UNKNOWN)


def test_the_patience_begins_anew_when_the_run_was_seen(
    room: Namespace, tmp_path: Path, environment: None
) -> None:
    with site(tmp_path, room, patience_seconds=0.2) as here:
        run = here.begun(here.launched("dev"))
        here.way.close()
        await_until(lambda: here.health(run).status is WorkerStatus.UNKNOWN)
        here.way.open()
        assert here.health(run).status is WorkerStatus.RUNNING
        here.way.close()
        assert here.health(run).status is WorkerStatus.RUNNING


def test_a_run_whose_job_was_deleted_counts_while_its_pod_lives(here: Site) -> None:
    run = here.begun(here.launched("dev"))
    await_until(lambda: here.room.names("pods") != set())
    name = job_name(run)
    pod = next(iter(here.room.names("pods")))
    path = here.room.path("jobs", name)
    here.room.api.once("DELETE", path, body={"propagationPolicy": "Orphan"})
    await_until(lambda: not here.room.has("jobs", name))
    for _ in range(3):
        assert here.health(run).status is WorkerStatus.RUNNING
    here.room.api.once("DELETE", here.room.path("pods", pod), body={"gracePeriodSeconds": 0})
    await_until(lambda: not here.room.has("pods", pod))
    assert here.health(run).status is WorkerStatus.RUNNING
    second = here.health(run)
    assert second.status is WorkerStatus.UNKNOWN
    assert "could not be found" in (second.msg or "")


def test_a_run_that_is_terminated_loses_job_and_pod(here: Site) -> None:
    run = here.begun(here.launched("dev"))
    await_until(lambda: here.room.names("pods") != set())
    assert here.launcher.terminate(run.run_id) is True
    await_until(lambda: not here.room.has("jobs", job_name(run)))
    await_until(lambda: here.room.names("pods") == set())


def test_a_run_that_nobody_is_at_any_more_is_canceled_at_once(here: Site) -> None:
    run = here.begun(here.launched("dev"))
    path = here.room.path("jobs", job_name(run))
    here.room.api.once("DELETE", path, body={"propagationPolicy": "Background"})
    await_until(lambda: not here.room.has("jobs", job_name(run)))
    await_until(lambda: here.room.names("pods") == set())
    assert here.launcher.terminate(run.run_id) is True
    assert here.now(run).status is DagsterRunStatus.CANCELED


def test_while_the_api_server_is_away_the_record_says_that_a_run_shall_end(here: Site) -> None:
    run = here.begun(here.launched("dev"))
    here.way.close()
    assert here.launcher.terminate(run.run_id) is False
    assert here.now(run).status is DagsterRunStatus.CANCELING
    said = here.words(run)
    assert "The run's process reads that it shall end within 10 s" in said
    assert f"kubectl delete job {job_name(run)} -n {here.room.name}" in said


def test_a_run_that_has_ended_is_not_terminated(here: Site) -> None:
    run = here.launched("dev")
    here.instance.report_run_failed(run, "it ended")
    assert here.launcher.terminate(run.run_id) is False
    assert here.now(run).status is DagsterRunStatus.FAILURE


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A create that met no API server is tried again at once."""
    monkeypatch.setattr("flowmaster_delivery.defs.run_client.AGAIN", 0.1)


def test_a_launch_waits_for_an_api_server_that_comes_back(impatient: None, here: Site) -> None:
    run = here.submitted("dev")
    here.way.close()
    comes_back = threading.Timer(0.5, here.way.open)
    comes_back.start()
    try:
        assert here.launch(run).status is DagsterRunStatus.STARTING
    finally:
        comes_back.join()
    assert here.room.has("jobs", job_name(run))


def test_a_launch_gives_up_after_its_patience_and_dagster_may_try_again(
    impatient: None, room: Namespace, tmp_path: Path, environment: None
) -> None:
    with site(tmp_path, room, patience_seconds=0.4) as here:
        run = here.submitted("dev")
        here.way.close()
        with pytest.raises(Exception, match="Retry limit of 4 exceeded"):
            here.launch(run)
        failed = here.now(run)
    assert failed.status is DagsterRunStatus.FAILURE
    assert failed.tags["dagster/will_retry"] == "true"
