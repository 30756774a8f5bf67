"""Dagster's own launcher, narrowed: a Job is made of the installation and of one environment.

`defs/launcher.py` builds it when it first needs the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dagster import DagsterRun
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_job_name_from_run_id

from flowmaster_delivery.defs import run_pods
from flowmaster_delivery.defs.run_client import PatientClient
from flowmaster_delivery.defs.run_pods import RunEnvironment
from flowmaster_delivery.policy.presence import Look

EnvironmentOf = Callable[[DagsterRun], RunEnvironment | None]
"""The environment that a run was admitted for; None where nobody vouches for one."""

CONNECTION = (
    "job_namespace",
    "load_incluster_config",
    "kubeconfig_file",
    "k8s_api_ssl_ca_cert_file",
)
"""How the launcher itself reaches the cluster, and where its Jobs stand."""

POD = (
    "image_pull_policy",
    "image_pull_secrets",
    "env",
    "env_config_maps",
    "env_vars",
    "volumes",
    "volume_mounts",
    "labels",
    "resources",
    "scheduler_name",
    "security_context",
    "run_k8s_config",
)
"""What the installation says about the pods of all runs: nothing about identity."""

HOME = "DAGSTER_HOME"
"""Dagster sets it itself, by `dagster_home`."""
ALIVE = ("Pending", "Running")


class RunJobs(K8sRunLauncher):
    """Launches, ends and looks at the Jobs of runs that were admitted before."""

    def __init__(
        self,
        config: Mapping[str, Any],
        environment_of: EnvironmentOf,
        patience: float,
        seconds: float,
    ) -> None:
        super().__init__(
            service_account_name="",
            instance_config_map="",
            job_image=config["job_image"],
            dagster_home=config["dagster_home"],
            **{name: config[name] for name in CONNECTION if name in config},
        )
        self._config, self._environment_of = config, environment_of
        self._api_client = PatientClient(seconds, patience)

    def get_container_context_for_run(self, dagster_run: DagsterRun) -> K8sContainerContext:
        """Neither tags nor the code location are asked. Without a voucher, a pod holds nothing."""
        environment = self._environment_of(dagster_run)
        longest = int(self._instance.run_monitoring_max_runtime_seconds)
        context = self._of_installation()
        for layer in (
            run_pods.of_job(self._config["ttl_seconds_after_finished"], longest),
            run_pods.of_environment(environment) if environment else run_pods.NOBODY,
        ):
            context = context.merge(_layer(layer))
        return context

    def _of_installation(self) -> K8sContainerContext:
        said = {name: self._config[name] for name in POD if name in self._config}
        home, mounts = self._config["dagster_home"], said.get("volume_mounts") or []
        mounted = [m.get("mountPath", m.get("mount_path")) for m in mounts]
        said["env"] = [v for v in said.get("env") or [] if v["name"] != HOME]
        said["env_vars"] = [v for v in said.get("env_vars") or [] if not v.startswith(f"{HOME}=")]
        said["labels"] = {**run_pods.common_labels(), **said.get("labels", {})}
        said["security_context"] = {
            **run_pods.CONTAINER_SECURITY,
            **said.get("security_context", {}),
        }
        raw = said.pop("run_k8s_config", None) or {}
        return (
            _layer(run_pods.hardened(home, mounted))
            .merge(K8sContainerContext(namespace=self.job_namespace, **said))
            .merge(_layer({"container_config": {"image": self.job_image}}))
            .merge(_layer(raw))
        )

    def end(self, run_id: str) -> bool | None:
        """None where Kubernetes did not answer or refused, which is on record then."""
        done: bool | None = self.terminate(run_id)  # type: ignore[no-untyped-call]
        return done

    def job_of(self, run: DagsterRun) -> str:
        attempt = self._get_resume_attempt_number(run)
        return str(get_job_name_from_run_id(run.run_id, resume_attempt_number=attempt))

    def look(self, run: DagsterRun) -> Look:
        """Whether anybody is at this run: a living pod of its Job is enough."""
        job, namespace = self.job_of(run), self.job_namespace
        try:
            pods = self._api_client.get_pods_in_job(job, namespace)
            if any(pod.status.phase in ALIVE for pod in pods):
                return Look.THERE
            gone = self._api_client.get_job_status(job, namespace) is None
        except Exception:  # noqa: BLE001  # whatever it is, it says nothing of the run
            return Look.SILENT
        return Look.GONE if gone else Look.THERE


def _layer(config: Mapping[str, Any]) -> K8sContainerContext:
    return K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(config))
