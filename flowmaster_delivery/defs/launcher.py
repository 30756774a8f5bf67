"""The run launcher: each run is a Job that holds its environment's credentials, and no other's.

What a run's pod is made of comes from the installation and from the environment that the
coordinator sealed into the run's voucher; tags, jobs and code locations have no say
(docs/adr/0015-runs-as-pods-take-their-credentials-from-the-sealed-environment.md).

The least rights of whoever launches, monitors and ends runs (webserver, sidecar of the server,
daemon), in the namespace of the run pods; tests/contracts/test_launcher.py derives them:

    batch  jobs         create, delete
    batch  jobs/status  get
    ""     pods         list, delete
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from dagster import DagsterRun, Field, Map, Noneable, StringSource
from dagster._config import Shape
from dagster._core.launcher import LaunchRunContext, ResumeRunContext
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    UserDefinedDagsterK8sConfig,
    get_job_name_from_run_id,
)

from flowmaster_delivery.defs import run_pods
from flowmaster_delivery.defs.run_client import PatientClient
from flowmaster_delivery.defs.run_pods import RunEnvironment
from flowmaster_delivery.defs.submissions import submission_of, voucher_of
from flowmaster_delivery.policy.presence import Absence, Look, given_up, missed
from flowmaster_delivery.policy.submission import launch_refusal
from flowmaster_delivery.settings import Settings

INSTALLATION = (
    "job_namespace",
    "image_pull_policy",
    "image_pull_secrets",
    "load_incluster_config",
    "kubeconfig_file",
    "k8s_api_ssl_ca_cert_file",
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
"""Config of Dagster's launcher that the installation may set: none of it is about identity."""
ALIVE = ("Pending", "Running")
MODULE = "flowmaster_delivery"


class EnvironmentRunLauncher(K8sRunLauncher):
    """`run_launcher` of dagster.yaml, where runs are pods.

    ```yaml
    run_launcher:
      module: flowmaster_delivery.defs.launcher
      class: EnvironmentRunLauncher
      config:
        job_image: registry.example.com/flowmaster-delivery@sha256:…   # the platform's own
        job_namespace: flowmaster
        dagster_home: /opt/dagster/home
        image_pull_policy: IfNotPresent
        image_pull_secrets: [{name: registry}]
        env_vars: ["FLOWMASTER_CATALOG=/etc/flowmaster/config/catalog.yaml"]
        volumes: [{name: config, configMap: {name: flowmaster-config}}]
        volume_mounts: [{name: config, mountPath: /etc/flowmaster/config, readOnly: true}]
        labels: {app.kubernetes.io/instance: flowmaster}
        resources: {requests: {cpu: 250m, memory: 384Mi}, limits: {memory: 1Gi}}
        run_k8s_config: {pod_spec_config: {nodeSelector: {pool: platform}}}
        environments:
          dev: {service_account_name: flowmaster-env-dev}
          production:
            service_account_name: flowmaster-env-production
            kubeconfig_secret: flowmaster-production     # optional; its key `kubeconfig`
            smoke_secret: flowmaster-production-smoke    # optional; one key per secret
        patience_seconds: 120
        request_timeout_seconds: 10
        ttl_seconds_after_finished: 3600
    ```

    `load_incluster_config` (default true) and `kubeconfig_file` say how the launcher itself reaches
    the cluster. Mounted by the launcher: an emptyDir on /tmp and on `dagster_home`, the kubeconfig
    on /etc/flowmaster/kubeconfig with FLOWMASTER_KUBECONFIG, the smoke secrets on
    /etc/flowmaster/smoke with FLOWMASTER_SECRETS_DIR. Container and pod run as 10001, without
    capabilities, on a read-only root; `security_context` adds to that.
    """

    def __init__(
        self,
        *,
        job_image: str,
        dagster_home: str,
        environments: Mapping[str, Mapping[str, Any]],
        patience_seconds: float,
        request_timeout_seconds: float,
        ttl_seconds_after_finished: int,
        inst_data: ConfigurableClassData | None = None,
        **installation: Any,
    ) -> None:
        super().__init__(
            service_account_name="",
            instance_config_map="",
            job_image=job_image,
            dagster_home=dagster_home,
            inst_data=inst_data,
            **installation,
        )
        self._environments = {
            name: RunEnvironment.parsed(name, given) for name, given in environments.items()
        }
        self._patience, self._kept = patience_seconds, ttl_seconds_after_finished
        self._api_client = PatientClient(request_timeout_seconds, patience_seconds)
        self._absences: dict[str, Absence] = {}
        self._guard = threading.Lock()

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        dagsters = DagsterK8sJobConfig.config_type_run_launcher()
        return {
            **{name: dagsters[name] for name in INSTALLATION},
            "job_image": Field(StringSource),
            "dagster_home": Field(StringSource, default_value="/opt/dagster/home"),
            "environments": Field(_environments_type()),
            "patience_seconds": Field(float, default_value=120.0),
            "request_timeout_seconds": Field(float, default_value=10.0),
            "ttl_seconds_after_finished": Field(int, default_value=run_pods.KEPT_SECONDS),
        }

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environ()

    def launch_run(self, context: LaunchRunContext) -> None:
        if self._admitted(context.dagster_run):
            super().launch_run(context._replace(dagster_run=_by_our_program(context.dagster_run)))

    def resume_run(self, context: ResumeRunContext) -> None:
        if self._admitted(context.dagster_run):
            super().resume_run(context._replace(dagster_run=_by_our_program(context.dagster_run)))

    def _admitted(self, run: DagsterRun) -> bool:
        """Whether it may be launched; where not, the run has failed for good, and says why."""
        voucher = voucher_of(run, self.settings.seal_key.read())
        submission = submission_of(run, 0, ())
        refused = launch_refusal(voucher, submission, self._environments) or _foreign(run)
        if refused:
            self._instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
            self._instance.report_run_failed(run, f"Refused to launch: {refused}")
        return not refused

    def get_container_context_for_run(self, dagster_run: DagsterRun) -> K8sContainerContext:
        """Without a valid voucher: a pod that holds nothing, in the namespace where runs are."""
        voucher = voucher_of(dagster_run, self.settings.seal_key.read())
        environment = self._environments.get(voucher.environment) if voucher else None
        longest = int(self._instance.run_monitoring_max_runtime_seconds)
        nothing = {"pod_spec_config": {"automount_service_account_token": False}}
        layers = (
            run_pods.hardened(self.dagster_home),
            self.run_k8s_config,
            {"container_config": {"image": self.job_image}},
            run_pods.of_job(self._kept, longest),
            run_pods.of_environment(environment) if environment else nothing,
        )
        context = K8sContainerContext(
            image_pull_policy=self.image_pull_policy,
            image_pull_secrets=self.image_pull_secrets,
            env_config_maps=self.env_config_maps,
            env_vars=self.env_vars,
            volume_mounts=self.volume_mounts,
            volumes=self.volumes,
            labels={**run_pods.common_labels(), **self.labels},
            namespace=self.job_namespace,
            resources=self.resources,
            scheduler_name=self.scheduler_name,
            security_context={**run_pods.CONTAINER_SECURITY, **self.security_context},
        )
        for layer in layers:
            config = UserDefinedDagsterK8sConfig.from_dict(layer)
            context = context.merge(K8sContainerContext(run_k8s_config=config))
        return context

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """As Dagster sees it, except that what cannot be seen for a moment still runs."""
        result: CheckRunHealthResult = super().check_run_worker_health(run)
        unknown = result.status is WorkerStatus.UNKNOWN
        look = self._look(run) if unknown else Look.THERE
        now = time.monotonic()
        with self._guard:
            absence = missed(self._absences.pop(run.run_id, None), look, now)
            if absence:
                self._absences[run.run_id] = absence
        if unknown and not given_up(absence, self._patience):
            return CheckRunHealthResult(WorkerStatus.RUNNING, result.msg, transient=True)
        return result

    def _look(self, run: DagsterRun) -> Look:
        """A second look at a run whose Job could not be read: a living pod of it is enough."""
        attempt = self._get_resume_attempt_number(run)
        job = get_job_name_from_run_id(run.run_id, resume_attempt_number=attempt)
        where = {"job_name": job, "namespace": self.job_namespace}
        try:
            if any(pod.status.phase in ALIVE for pod in self._api_client.get_pods_in_job(**where)):
                return Look.THERE
            return Look.GONE if self._api_client.get_job_status(**where) is None else Look.THERE
        except Exception:  # noqa: BLE001  # whatever it is, it says nothing of the run
            return Look.SILENT


def _environments_type() -> Map:
    """By name."""
    shape = {
        "service_account_name": Field(StringSource),
        "kubeconfig_secret": Field(Noneable(StringSource), is_required=False),
        "smoke_secret": Field(Noneable(StringSource), is_required=False),
    }
    return Map(str, Shape(shape))  # type: ignore[no-untyped-call]


def _foreign(run: DagsterRun) -> str | None:
    """Why what the code location says is not executed with an environment's credentials."""
    origin = run.job_code_origin
    module = getattr(origin.repository_origin.code_pointer, "module", None) if origin else None
    if module is not None and module.partition(".")[0] == MODULE:
        return None
    return (
        f"its code is not the platform's ({module or 'no module'}); "
        f"start the code server with -m {MODULE}.definitions"
    )


def _by_our_program(run: DagsterRun) -> DagsterRun:
    """The same run, started by `dagster` of the image and not by what its origin names."""
    origin = run.job_code_origin
    if origin is None:
        return run
    repository = origin.repository_origin._replace(entry_point=["dagster"])
    return run._replace(job_code_origin=origin._replace(repository_origin=repository))
