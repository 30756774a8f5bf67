"""The run launcher: each run is a Job that holds its environment's credentials, and no other's.

What a run's pod is made of comes from the installation and from the environment that the
coordinator sealed into the run's voucher; tags, jobs and code locations have no say
(docs/adr/0015-runs-as-pods-take-their-credentials-from-the-sealed-environment.md).

The rights of whoever launches, monitors and ends runs (webserver, sidecar of the server, daemon)
are `policy.rights.launching_rights`; tests/contracts/test_launching_rights.py derives them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Self

from dagster import Array, DagsterRun, Field, Map, Noneable, Permissive, StringSource
from dagster._config import Shape
from dagster._core.launcher import LaunchRunContext, ResumeRunContext, RunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_k8s.client import DagsterK8sUnrecoverableAPIError
from dagster_k8s.job import DagsterK8sJobConfig

from flowmaster_delivery.defs import run_pods
from flowmaster_delivery.defs.executor import RECORD_LOOK
from flowmaster_delivery.defs.run_client import refused_for_good
from flowmaster_delivery.defs.run_jobs import CONNECTION, POD, RunJobs
from flowmaster_delivery.defs.run_pods import RunEnvironment
from flowmaster_delivery.defs.submissions import refuse, submission_of, voucher_of
from flowmaster_delivery.policy.presence import Absence, Look, given_up, missed, still_looked_for
from flowmaster_delivery.policy.submission import launch_refusal
from flowmaster_delivery.settings import Settings

PACKAGE = "flowmaster_delivery"
SLOW = 1.0
"""Seconds after which a look without an answer holds up the looks at other runs."""
SILENCE = 5.0
"""Seconds for which such a look speaks for the other runs."""


class EnvironmentRunLauncher(RunLauncher[Any], ConfigurableClass):
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
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
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
    the cluster. Mounted by the launcher: an emptyDir on /tmp and on `dagster_home` where
    `volume_mounts` has nothing there, the kubeconfig on /etc/flowmaster/kubeconfig with
    FLOWMASTER_KUBECONFIG, the smoke secrets on /etc/flowmaster/smoke with FLOWMASTER_SECRETS_DIR.
    Container and pod run as 10001, without capabilities, on a read-only root; `security_context`
    adds to that. `ttl_seconds_after_finished` has an effect from Kubernetes 1.21 on. A Job's
    deadline follows from `run_monitoring: max_runtime_seconds`.

    Run processes have this launcher in their instance too, and no rights: it opens nothing until it
    is used.
    """

    def __init__(self, config: Mapping[str, Any], inst_data: ConfigurableClassData | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._config, self._inst_data = config, inst_data
        self._environments = {
            name: RunEnvironment.parsed(name, given)
            for name, given in config["environments"].items()
        }
        self._absences: dict[str, Absence] = {}
        self._silent_until = 0.0
        self._made: RunJobs | None = None
        self._guard = threading.Lock()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        dagsters = DagsterK8sJobConfig.config_type_run_launcher()
        return {
            **{name: dagsters[name] for name in (*CONNECTION, *POD) if name in dagsters},
            "env": Field(_variables_type(), default_value=[]),
            "job_image": Field(StringSource),
            "dagster_home": Field(StringSource, default_value="/opt/dagster/home"),
            "environments": Field(_environments_type()),
            "patience_seconds": Field(float, default_value=120.0),
            "request_timeout_seconds": Field(float, default_value=10.0),
            "ttl_seconds_after_finished": Field(int, default_value=run_pods.KEPT_SECONDS),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(config_value, inst_data)

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_environ()

    @property
    def jobs(self) -> RunJobs:
        with self._guard:
            if self._made is None:
                limits = self._config["patience_seconds"], self._config["request_timeout_seconds"]
                self._made = RunJobs(self._config, self._environment_of, *limits)
                self._made.register_instance(self._instance)
            return self._made

    def _environment_of(self, run: DagsterRun) -> RunEnvironment | None:
        voucher = voucher_of(run, self.settings.seal_key.read())
        return self._environments.get(voucher.environment) if voucher else None

    def launch_run(self, context: LaunchRunContext) -> None:
        run = _by_our_program(context.dagster_run)
        self._launch(run, lambda: self.jobs.launch_run(context._replace(dagster_run=run)))

    @property
    def supports_resume_run(self) -> bool:
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        run = _by_our_program(context.dagster_run)
        self._launch(run, lambda: self.jobs.resume_run(context._replace(dagster_run=run)))

    def _launch(self, run: DagsterRun, launch: Callable[[], None]) -> None:
        """What may not be launched has failed for good, and says why. While the API server is away
        it is tried for as long as the patience; what is raised after that, Dagster may retry."""
        voucher = voucher_of(run, self.settings.seal_key.read())
        submission = submission_of(run, 0, ())
        why = launch_refusal(voucher, submission, self._environments) or _foreign(run)
        if not why:
            try:
                launch()
            except DagsterK8sUnrecoverableAPIError as error:
                why = refused_for_good(error)
                if not why:
                    raise
        if why:
            refuse(self._instance, run, f"Not launched: {why}")

    def terminate(self, run_id: str) -> bool:
        """Delete Job and pods. With the API server away the record alone says that the run shall
        end; its process reads that, and until then the run is canceling."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        done = self.jobs.end(run_id)
        if done is None:
            self._not_ended(run)
            return False
        gone = self.jobs.look(run) is Look.GONE  # also where its process never began
        now = self._instance.get_run_by_id(run_id)
        if gone and now and not now.is_finished:
            self._instance.report_run_canceled(run, "Its Job is gone, and no pod of it lives.")
        return done or gone

    def _not_ended(self, run: DagsterRun) -> None:
        late = self._instance.run_monitoring_cancel_timeout_seconds
        where = f"job {self.jobs.job_of(run)} -n {self.jobs.job_namespace}"
        self._instance.report_engine_event(
            "Kubernetes could not be asked to end the pod. The run's process reads that it shall "
            f"end within {RECORD_LOOK:.0f} s. Dagster says that it was canceled after {late} s in "
            f"any case; if its pod still runs then: kubectl delete {where}",
            run,
        )

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """As Dagster sees it, except that what cannot be seen for a moment still runs."""
        result, look = self._seen(run)
        now, patience = time.monotonic(), self._config["patience_seconds"]
        with self._guard:
            before = self._absences.pop(run.run_id, None)
            absence = missed(before, look, now)
            if absence:
                self._absences[run.run_id] = absence
            self._absences = still_looked_for(self._absences, now)
        if absence and not before:
            words = "Kubernetes does not show this run's pod; the run counts as running"
            self._instance.report_engine_event(f"{words} for {patience:.0f} s", run)
        if result.status is WorkerStatus.UNKNOWN and not given_up(absence, patience):
            return CheckRunHealthResult(WorkerStatus.RUNNING, result.msg, transient=True)
        return result

    def _seen(self, run: DagsterRun) -> tuple[CheckRunHealthResult, Look]:
        """Dagster asks for one run after the other: one that timed out speaks for the next ones."""
        began = time.monotonic()
        if began < self._silent_until:
            unknown = CheckRunHealthResult(WorkerStatus.UNKNOWN, "Kubernetes timed out just now")
            return unknown, Look.SILENT
        result: CheckRunHealthResult = self.jobs.check_run_worker_health(run)
        if result.status is not WorkerStatus.UNKNOWN:
            return result, Look.THERE
        look, ended = self.jobs.look(run), time.monotonic()
        if look is Look.SILENT and ended - began > SLOW:
            self._silent_until = ended + SILENCE
        return result, look

    def get_run_worker_debug_info(
        self,
        run: DagsterRun,
        include_container_logs: bool | None = True,  # noqa: ARG002  # Dagster asks by this name
    ) -> str | None:
        """What became of the pod. Never with its log, which would stand in the record for ever."""
        return self.jobs.get_run_worker_debug_info(run, include_container_logs=False)


def _environments_type() -> Map:
    """By name."""
    shape = {
        "service_account_name": Field(StringSource),
        "kubeconfig_secret": Field(Noneable(StringSource), is_required=False),
        "smoke_secret": Field(Noneable(StringSource), is_required=False),
    }
    return Map(str, Shape(shape))  # type: ignore[no-untyped-call]


def _variables_type() -> Array:
    """As a container has them: name, and value or valueFrom."""
    return Array(Permissive({"name": str}))  # type: ignore[no-untyped-call]


def _foreign(run: DagsterRun) -> str | None:
    """Why what the code location says is not executed with an environment's credentials."""
    origin = run.job_code_origin
    module = getattr(origin.repository_origin.code_pointer, "module", None) if origin else None
    if module is not None and module.partition(".")[0] == PACKAGE:
        return None
    return (
        f"its code is not the platform's ({module or 'no module'}); "
        f"start the code server with -m {PACKAGE}.definitions"
    )


def _by_our_program(run: DagsterRun) -> DagsterRun:
    """The same run, started by `dagster` of the image and not by what its origin names."""
    origin = run.job_code_origin
    if origin is None:
        return run
    repository = origin.repository_origin._replace(entry_point=["dagster"])
    return run._replace(job_code_origin=origin._replace(repository_origin=repository))
