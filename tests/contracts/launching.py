"""An instance whose runs become Jobs on a cluster to test against."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher.base import CheckRunHealthResult
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.run_coordinator.base import SubmitRunContext

from flowmaster_delivery.defs.launcher import EnvironmentRunLauncher
from tests.builders import catalog_yaml
from tests.contracts.namespaces import Namespace
from tests.defs.conftest import SEAL_KEY
from tests.defs.test_coordinator import ALL, ORIGIN, a_job, granted
from tests.fakes.forwarder import Forwarder, forwarder

DIGEST = "sha256:" + "f" * 64
IMAGE = f"registry.test/flowmaster-delivery@{DIGEST}"
CODE = ModuleCodePointer("flowmaster_delivery.definitions", "defs", None)
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "dev": {"service_account_name": "flowmaster-env-dev"},
    "production": {
        "service_account_name": "flowmaster-env-production",
        "kubeconfig_secret": "flowmaster-production",
        "smoke_secret": "flowmaster-production-smoke",
    },
}


@dataclass
class Site:
    """Runs as pods in one namespace, seen through a way that can be closed."""

    instance: DagsterInstance
    room: Namespace
    way: Forwarder

    @property
    def launcher(self) -> EnvironmentRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, EnvironmentRunLauncher)
        return launcher

    def submitted(
        self,
        environment: str = "dev",
        tags: Mapping[str, str] | None = None,
        origin: RepositoryPythonOrigin | None = None,
    ) -> DagsterRun:
        """A run that the coordinator has seen, with a grant of ours."""
        grant = granted(f"o{uuid.uuid4()}", environment)
        run = self.created(environment, {**grant, **(tags or {})}, origin)
        return self.instance.run_coordinator.submit_run(SubmitRunContext(run, cast("Any", None)))

    def created(
        self,
        environment: str = "dev",
        tags: Mapping[str, str] | None = None,
        origin: RepositoryPythonOrigin | None = None,
    ) -> DagsterRun:
        """A run that no coordinator has seen."""
        return self.instance.create_run_for_job(
            a_job(),
            tags={"dagster/partition": environment, **(tags or {})},
            remote_job_origin=ORIGIN,
            asset_selection=frozenset(AssetKey(["service-0", chapter]) for chapter in ALL),
            job_code_origin=JobPythonOrigin("__ASSET_JOB", origin or an_origin()),
        )

    def launched(
        self,
        environment: str = "dev",
        tags: Mapping[str, str] | None = None,
        origin: RepositoryPythonOrigin | None = None,
    ) -> DagsterRun:
        return self.launch(self.submitted(environment, tags, origin))

    def launch(self, run: DagsterRun) -> DagsterRun:
        self.instance.launch_run(run.run_id, cast("Any", None))
        return self.now(run)

    def now(self, run: DagsterRun) -> DagsterRun:
        found = self.instance.get_run_by_id(run.run_id)
        assert found
        return found

    def begun(self, run: DagsterRun) -> DagsterRun:
        """The run once its process has reported itself."""
        self.instance.report_engine_event("Started process", run)
        event = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
        self.instance.report_dagster_event(event, run.run_id)
        return self.now(run)

    def health(self, run: DagsterRun) -> CheckRunHealthResult:
        return self.launcher.check_run_worker_health(self.now(run))

    def job(self, run: DagsterRun) -> dict[str, Any]:
        return self.room.get("jobs", job_name(run))

    def words(self, run: DagsterRun) -> str:
        """Everything that the run's log says."""
        logs = self.instance.all_logs(run.run_id)
        said = (e.dagster_event.message if e.dagster_event else e.user_message for e in logs)
        return "\n".join(words or "" for words in said)


def an_origin(**changes: Any) -> RepositoryPythonOrigin:
    """Where the code server says that its code is."""
    told = {"executable_path": "/opt/venv/bin/python", "code_pointer": CODE, **changes}
    return RepositoryPythonOrigin(**told)


def job_name(run: DagsterRun) -> str:
    return f"dagster-run-{run.run_id}"


def environment_variables(folder: Path) -> dict[str, str]:
    """What the servers of an installation are told, with the files that it names."""
    (folder / "seal-key").write_text(SEAL_KEY)
    (folder / "catalog.yaml").write_text(catalog_yaml(3))
    return {
        "FLOWMASTER_SEAL_KEY_FILE": str(folder / "seal-key"),
        "FLOWMASTER_CATALOG": str(folder / "catalog.yaml"),
    }


@contextmanager
def site(
    folder: Path, room: Namespace, kubeconfig: Path | None = None, **config: Any
) -> Iterator[Site]:
    """The coordinator and launcher of an installation; environment variables are set already.

    The launcher is the administrator where no other `kubeconfig` is given. The pods of runs wait
    for a node, for as long as the test takes.
    """
    room.target.fare(DIGEST, "unschedulable", "0/1 nodes are available")
    with forwarder(kubeconfig or room.target.kubeconfig, folder / "kubeconfig-of-launcher") as way:
        launcher = {
            "job_image": IMAGE,
            "job_namespace": room.name,
            "load_incluster_config": False,
            "kubeconfig_file": str(folder / "kubeconfig-of-launcher"),
            "environments": ENVIRONMENTS,
            **config,
        }
        settings = {
            "run_coordinator": {
                "module": "flowmaster_delivery.defs.coordinator",
                "class": "DeliveryCoordinator",
            },
            "run_launcher": {
                "module": "flowmaster_delivery.defs.launcher",
                "class": "EnvironmentRunLauncher",
                "config": json.loads(json.dumps(launcher)),
            },
            "run_monitoring": {"enabled": True, "max_runtime_seconds": 7200},
            "run_retries": {"enabled": True, "max_retries": 2},
            "telemetry": {"enabled": False},
        }
        home = folder / "launching"
        home.mkdir()
        with DagsterInstance.local_temp(str(home), settings) as instance:
            yield Site(instance, room, way)
