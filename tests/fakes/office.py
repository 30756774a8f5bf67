"""The platform's server on fakes: the real application and flows, the outside world in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette

from flowmaster_delivery.flows.image import Source
from flowmaster_delivery.flows.reading import Reading
from flowmaster_delivery.flows.release import remember_release
from flowmaster_delivery.model.catalog import Catalog, Environment
from flowmaster_delivery.model.image import ImageRecord, Origin
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.promotion import ReleaseSeen
from flowmaster_delivery.model.rollout import (
    DeploymentRecord,
    Method,
)
from flowmaster_delivery.model.source import Person
from flowmaster_delivery.ports import Cluster, ClusterOf, Ports
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.web.app import app
from tests.builders import a_catalog, digest
from tests.fakes.fake_audit import FakeAudit
from tests.fakes.fake_forge import FakeForge
from tests.fakes.fake_history import FakeHistory
from tests.fakes.fake_launcher import FakeLauncher
from tests.fakes.fake_metrics import FakeMetrics
from tests.fakes.fake_notifier import FakeNotifier
from tests.fakes.fake_probe import FakeProbe
from tests.fakes.fake_pulse import FakePulse
from tests.fakes.fake_registry import FakeRegistry

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TOKEN = "the-hooks-secret"
SIGNING_TOKEN = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0IQ=="


def no_cluster(environment: Environment) -> Cluster:
    raise AssertionError(f"nothing here may touch the cluster of {environment.name}")


@dataclass
class FakeOffice:
    """Everything behind the server, to be looked into and told what to say."""

    folder: Path
    sandbox: bool = True
    catalog: Catalog = field(default_factory=a_catalog)
    forge: FakeForge = field(default_factory=FakeForge)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    history: FakeHistory = field(default_factory=FakeHistory)
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    audit: FakeAudit = field(default_factory=FakeAudit)
    pulse: FakePulse = field(default_factory=FakePulse)
    now: datetime = START
    hook_secrets: bool = True
    clusters: ClusterOf = no_cluster

    @property
    def ports(self) -> Ports:
        return Ports(
            forge=self.forge,
            registry=self.registry,
            cluster=self.clusters,
            probe=FakeProbe(),
            history=self.history,
            notifier=FakeNotifier(),
            metrics=self.metrics,
            audit=self.audit,
        )

    def settings(self) -> Settings:
        variables = {"DAGSTER_HOME": str(self.folder)}
        if self.sandbox:
            variables["FLOWMASTER_SANDBOX"] = "1"
        if self.hook_secrets:
            variables["FLOWMASTER_WEBHOOK_SECRET_FILE"] = self._file("token", TOKEN)
            variables["FLOWMASTER_WEBHOOK_SIGNING_TOKEN_FILE"] = self._file("sign", SIGNING_TOKEN)
        return Settings.from_environ(variables)

    def app(self) -> Starlette:
        return self.serving(self.settings())

    def serving(self, settings: Settings, ports: Ports | None = None) -> Starlette:
        """The application with other settings or ports."""
        given = ports or self.ports
        return app(settings, self.catalog, given, self.launcher, lambda: self.now, self.pulse)

    def person(self, name: str, number: int, *groups: str) -> Person:
        """Somebody whom GitLab knows, with the token `<name>-token`."""
        person = Person(number, name)
        self.forge.tokens[f"{name}-token"] = person
        for group in groups:
            self.forge.groups.setdefault(group, set()).add(name)
        return person

    def operated_by(self, environment: str, group: str) -> None:
        changed = replace(self.catalog.environments[environment], operators=group)
        places = {**self.catalog.environments, environment: changed}
        self.catalog = replace(self.catalog, environments=places)

    def release(self, version: str = "v1.2.3", commit: str = "c1") -> ReleaseSeen:
        """A tag whose services were built, ran in staging, and which intake has seen."""
        forge, repository = self.forge, self.catalog.repository("platform")
        files = {
            path: f"{commit}-{path}" for s in self.catalog.services.values() for path in s.paths
        }
        full = forge.push("platform", "main", commit, files)
        forge.branches["platform"]["staging"] = full
        forge.tag("platform", version, full)
        reading = Reading(self.catalog, self.ports)
        for service in self.catalog.services.values():
            self.history.record(self._image(service.name, full, reading))
        source = Source(self.catalog.environment("production"), repository, full, version, version)
        services = tuple(self.catalog.services.values())
        return remember_release(source, services, Reading(self.catalog, self.ports), self.now)

    def deployed(
        self, service: str, environment: str, version: str | None, at: datetime | None = None
    ) -> DeploymentRecord:
        """That a version was rolled out with success."""
        when = at or self.now - timedelta(hours=3)
        record = DeploymentRecord(
            service=service,
            environment=environment,
            method=Method.ROLLOUT,
            outcome=Outcome.SUCCESS,
            digest=digest(f"{service}{version}"),
            previous_digest=None,
            fingerprint="f" * 40,
            commit=(version or "head").encode().hex().ljust(40, "0"),
            started_at=when,
            finished_at=when,
            asked_by="sam",
            version=version,
        )
        self.history.record(record)
        return record

    def _image(self, service: str, commit: str, reading: Reading) -> ImageRecord:
        repository = self.catalog.repository("platform")
        return ImageRecord(
            service=service,
            environment="staging",
            digest=digest(f"{service}{commit}"),
            fingerprint=reading.fingerprints(repository, commit)[service],
            commit=commit,
            built_from=commit,
            ref="staging",
            origin=Origin.BUILT,
            at=self.now,
        )

    def _file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content)
        return str(path)
