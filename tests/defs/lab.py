"""The definitions on a real instance, with the outside world in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    Definitions,
    SensorDefinition,
    SensorResult,
    SkipReason,
    build_sensor_context,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.utils import make_new_run_id

from flowmaster_delivery.adapters.dagster_history import DagsterHistory
from flowmaster_delivery.defs.building import build
from flowmaster_delivery.defs.submissions import voucher
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.seal import seal
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.ports import Cluster, Ports
from flowmaster_delivery.settings import Settings
from tests.defs.conftest import SEAL_KEY
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_probe import FakeProbe
from tests.flows.conftest import NOW, Platform

DANA = Asker("dana", Via.GRANT)
ALL = ("image", "promotion", "deployment", "health")


@dataclass(frozen=True)
class Ran:
    """A run that has ended, with the events of its steps."""

    run: DagsterRun
    events: tuple[DagsterEvent, ...]

    @property
    def status(self) -> str:
        return self.run.status.value

    @property
    def materialized(self) -> set[str]:
        return self._keys(DagsterEventType.ASSET_MATERIALIZATION)

    @property
    def observed(self) -> set[str]:
        return self._keys(DagsterEventType.ASSET_OBSERVATION)

    def _keys(self, kind: DagsterEventType) -> set[str]:
        found = [e.asset_key for e in self.events if e.event_type is kind]
        return {key.to_user_string() for key in found if key}

    def failed_checks(self, service: str) -> dict[str, str]:
        """Name of each failed check of the service's promotion, with its severity."""
        kind = DagsterEventType.ASSET_CHECK_EVALUATION
        found = [e.asset_check_evaluation_data for e in self.events if e.event_type is kind]
        return {
            check.check_name: check.severity.value
            for check in found
            if check.asset_key.path[0] == service and not check.passed
        }

    def checks(self, asset: str) -> dict[str, AssetCheckEvaluation]:
        """Every check of an asset that was answered, by its name."""
        kind = DagsterEventType.ASSET_CHECK_EVALUATION
        found = [e.asset_check_evaluation_data for e in self.events if e.event_type is kind]
        return {c.check_name: c for c in found if c.asset_key.to_user_string() == asset}

    @property
    def words(self) -> str:
        """Everything that the failed steps said."""
        failures = [e.step_failure_data for e in self.events if e.is_step_failure]
        return "\n".join(f.error.to_string() for f in failures if f.error)


@dataclass
class Lab:
    """Definitions over the fakes of `platform`, whose history is the instance's."""

    instance: DagsterInstance
    settings: Settings
    platform: Platform
    clusters: dict[str, Cluster] = field(default_factory=dict)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    probe: FakeProbe = field(default_factory=FakeProbe)
    audit: FakeAudit = field(default_factory=FakeAudit)
    now: datetime = NOW

    def __post_init__(self) -> None:
        history = DagsterHistory(self.instance, SEAL_KEY)
        self.platform.history = cast("FakeHistory", history)
        self.definitions: Definitions = build(
            self.settings, self.platform.catalog, lambda *_: self.ports, lambda: self.now
        )

    @property
    def ports(self) -> Ports:
        p = self.platform
        return Ports(
            p.forge,
            p.registry,
            self._cluster,
            self.probe,
            p.history,
            p.notifier,
            self.metrics,
            self.audit,
        )

    def _cluster(self, environment: Environment) -> Cluster:
        return self.clusters[environment.name]

    def run(
        self,
        environment: str,
        services: tuple[str, ...],
        chapters: tuple[str, ...] = ALL,
        *,
        by: Asker | None = DANA,
        tags: Mapping[str, str] | None = None,
        **form: object,
    ) -> Ran:
        """Execute a run as a run process does, asked for by somebody whom we vouched for."""
        keys = {AssetKey([service, chapter]) for service in services for chapter in chapters}
        whole = self.definitions.resolve_implicit_global_asset_job_def()
        job = whole.get_subset(asset_selection=keys)
        run_id = make_new_run_id()
        vouched = (
            {"flowmaster/voucher": seal(SEAL_KEY, voucher(run_id, by, environment))} if by else {}
        )
        run = self.instance.create_run_for_job(
            job,
            run_id=run_id,
            run_config={"resources": {"form": {"config": form}}},
            tags={"dagster/partition": environment, **vouched, **(tags or {})},
            asset_selection=frozenset(keys),
        )
        events = tuple(execute_run_iterator(InMemoryJob(job), run, self.instance))
        ended = self.instance.get_run_by_id(run_id)
        assert ended is not None
        return Ran(ended, events)

    def launched(self, tags: Mapping[str, str]) -> DagsterRun:
        """A run that went through the coordinator and has not begun."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        run_id = make_new_run_id()
        vouched = {
            "flowmaster/voucher": seal(
                SEAL_KEY, voucher(run_id, DANA, tags.get("dagster/partition", ""))
            )
        }
        return self.instance.create_run_for_job(job, run_id=run_id, tags={**tags, **vouched})

    def tick(self, name: str, cursor: str | None = None) -> SensorResult:
        """One tick of a sensor."""
        found = self.definitions.resolve_sensor_def(name)
        assert isinstance(found, SensorDefinition)
        repository = self.definitions.get_repository_def()
        with build_sensor_context(
            instance=self.instance, cursor=cursor, repository_def=repository
        ) as context:
            answer = found(context)
        if isinstance(answer, SkipReason):
            return SensorResult(skip_reason=answer)
        assert isinstance(answer, SensorResult)
        return answer
