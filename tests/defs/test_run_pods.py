"""The pod of a run: what hardens it, and what one environment adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_k8s import K8sRunLauncher

from flowmaster_delivery.defs.executor import LAST_WORDS
from flowmaster_delivery.defs.launcher import EnvironmentRunLauncher
from flowmaster_delivery.defs.run_pods import RunEnvironment, hardened, of_environment, of_job

ON_THIS_CLUSTER = RunEnvironment("dev", "env-dev")
ELSEWHERE = RunEnvironment("production", "env-production", kubeconfig_secret="its-cluster")
WITH_LOGINS = RunEnvironment("staging", "env-staging", smoke_secret="its-logins")


def mounts(config: Mapping[str, Any]) -> dict[str, str]:
    """What is mounted where."""
    return {m["mount_path"]: m["name"] for m in config["container_config"]["volume_mounts"]}


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    return {v["name"]: v["value"] for v in config["container_config"]["env"]}


def test_on_its_own_cluster_an_environment_is_its_service_account() -> None:
    made = of_environment(ON_THIS_CLUSTER)
    assert made["pod_spec_config"] == {
        "service_account_name": "env-dev",
        "automount_service_account_token": True,
        "volumes": [],
    }
    assert made["container_config"] == {"volume_mounts": [], "env": []}


def test_on_another_cluster_it_is_its_kubeconfig_and_no_token_of_this_one() -> None:
    made = of_environment(ELSEWHERE)
    pod = made["pod_spec_config"]
    assert pod["automount_service_account_token"] is False
    assert [v["secret"]["secret_name"] for v in pod["volumes"]] == ["its-cluster"]
    assert mounts(made) == {"/etc/flowmaster/kubeconfig": "flowmaster-kubeconfig"}
    assert variables(made) == {"FLOWMASTER_KUBECONFIG": "/etc/flowmaster/kubeconfig/kubeconfig"}


def test_its_smoke_secrets_are_its_own_and_change_nothing_about_the_token() -> None:
    made = of_environment(WITH_LOGINS)
    assert made["pod_spec_config"]["automount_service_account_token"] is True
    assert [v["secret"]["secret_name"] for v in made["pod_spec_config"]["volumes"]] == [
        "its-logins"
    ]
    assert variables(made) == {"FLOWMASTER_SECRETS_DIR": "/etc/flowmaster/smoke"}


def test_what_is_mounted_cannot_be_written() -> None:
    made = of_environment(RunEnvironment("e", "a", "its-cluster", "its-logins"))
    assert all(mount["read_only"] for mount in made["container_config"]["volume_mounts"])


def test_the_pod_may_write_to_two_empty_folders() -> None:
    made = hardened("/opt/dagster/home")
    assert set(mounts(made)) == {"/tmp", "/opt/dagster/home"}  # noqa: S108  # in the pod
    assert all(volume["empty_dir"] == {} for volume in made["pod_spec_config"]["volumes"])


def test_what_the_installation_mounts_there_itself_is_left_alone() -> None:
    made = hardened("/opt/dagster/home", mounted=["/opt/dagster/home", "/etc/flowmaster/config"])
    assert set(mounts(made)) == {"/tmp"}  # noqa: S108  # in the pod
    assert [v["name"] for v in made["pod_spec_config"]["volumes"]] == ["flowmaster-tmp"]


def test_the_pod_is_given_time_for_the_last_words_of_its_steps() -> None:
    assert hardened("/home")["pod_spec_config"]["termination_grace_period_seconds"] > LAST_WORDS


def test_a_job_is_tried_once_and_outlives_the_longest_run() -> None:
    spec = of_job(kept_seconds=60, longest_seconds=7200)["job_spec_config"]
    assert spec["backoff_limit"] == 0
    assert spec["ttl_seconds_after_finished"] == 60
    assert spec["active_deadline_seconds"] > 7200


def test_where_runs_may_take_for_ever_so_may_their_jobs() -> None:
    assert "active_deadline_seconds" not in of_job(60, 0)["job_spec_config"]


def test_the_jobs_of_smoke_tests_inherit_nothing_of_a_runs_pod() -> None:
    """dagster-k8s lets them, from the instance's launcher where it is one of its own kind."""
    assert not issubclass(EnvironmentRunLauncher, K8sRunLauncher)
