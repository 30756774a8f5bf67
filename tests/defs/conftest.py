"""An instance with our coordinator, as the servers have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from flowmaster_delivery.settings import Settings
from tests.builders import catalog_yaml

SEAL_KEY = "a key that is long enough"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The variables of an installation with a seal key and a catalog of three services."""
    key, catalog = tmp_path / "seal-key", tmp_path / "catalog.yaml"
    key.write_text(SEAL_KEY)
    catalog.write_text(catalog_yaml(3))
    return {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "FLOWMASTER_SEAL_KEY_FILE": str(key),
        "FLOWMASTER_CATALOG": str(catalog),
        "FLOWMASTER_IDENTITY_HEADER": "X-Forwarded-User",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return Settings.from_environ(environ)


@pytest.fixture
def instance(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    """One for each test."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with instance_at(tmp_path / "instance") as made:
        yield made


@contextmanager
def instance_at(home: Path, storage: Mapping[str, Any] | None = None) -> Iterator[DagsterInstance]:
    """A real instance with the coordinator of dagster.yaml: on files with its event log, or on
    another storage."""
    coordinator = {
        "module": "flowmaster_delivery.defs.coordinator",
        "class": "DeliveryCoordinator",
    }
    home.mkdir()
    event_log = {
        "module": "flowmaster_delivery.defs.event_log",
        "class": "EventLog",
        "config": {"base_dir": str(home / "events")},
    }
    overrides = {
        "run_coordinator": coordinator,
        "telemetry": {"enabled": False},
        **(storage or {"event_log_storage": event_log}),
    }
    with DagsterInstance.local_temp(str(home), overrides) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[DagsterInstance]:
    """An instance in memory, for what needs neither a coordinator nor a second process."""
    with DagsterInstance.ephemeral(settings={"telemetry": {"enabled": False}}) as made:
        yield made
