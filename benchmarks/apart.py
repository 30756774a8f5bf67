"""A sandbox in a process of its own, and looks at what runs on it, as the watch makes them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.up.far_end import on_sandbox
from flowmaster_delivery.cli.up.home import Home
from flowmaster_delivery.flows.health import look_all
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.health import HealthObservation, HealthState
from flowmaster_delivery.ports import Ports
from flowmaster_delivery.settings import Settings
from flowmaster_delivery.wiring import open_ports
from tests.fakes.fake_history import FakeHistory

PATIENCE = 300.0
"""Seconds until the sandbox has seeded its services and their pods are ready."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything: how long it took, how many services it saw, the slowest answer."""

    seconds: float
    count: int
    slowest: float


@dataclass
class FarEnd:
    """The sandbox, as the platform reaches it. The history is in memory: looks read none of it."""

    catalog: Catalog
    ports: Ports
    told: Mapping[str, Any]
    history: FakeHistory = field(default_factory=FakeHistory)
    _seen: dict[str, dict[str, HealthObservation]] = field(default_factory=dict)

    def look(self) -> Look:
        """One look at every service of every environment; raise where one is not healthy."""
        started = time.perf_counter()
        seen = {
            name: look_all(
                environment,
                self.catalog,
                self.ports,
                previous=self._seen.get(name, {}),
                now=now,
            ).observations
            for name, environment in self.catalog.environments.items()
        }
        seconds = time.perf_counter() - started
        every = [observation for one in seen.values() for observation in one]
        unwell = [o for o in every if o.state is not HealthState.HEALTHY]
        if unwell:
            raise RuntimeError(f"{len(unwell)} are not healthy: {unwell[0].reason}")
        self._seen = {
            name: {o.service: replace(o, fingerprint="f") for o in one}
            for name, one in seen.items()
        }
        return Look(seconds, len(every), max(_slowest(o) for o in every))

    def settle(self) -> None:
        """Wait until everything is healthy: pods take a second to get ready."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.look()
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
            else:
                return


@contextmanager
def sandbox(folder: Path, catalog_path: Path) -> Iterator[FarEnd]:
    """A sandbox seeded from the catalog, up within this block."""
    home = Home(folder / "home")
    command = [sys.executable, "-m", "flowmaster_delivery.cli", "sandbox"]
    words = ["--data", str(home.sandbox), "--catalog", str(catalog_path)]
    with (folder / "sandbox.log").open("w") as log:
        process = subprocess.Popen([*command, *words], stdout=log, stderr=log)
        try:
            yield _far_end(home, catalog_path, process)
        finally:
            process.terminate()
            process.wait(30)


def _far_end(home: Home, catalog_path: Path, process: subprocess.Popen[bytes]) -> FarEnd:
    deadline = time.monotonic() + PATIENCE
    told = home.sandbox / "sandbox.json"
    while not told.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the sandbox did not come up")
        time.sleep(0.2)
    settings = replace(Settings.from_environ({}), home=home.folder, catalog=catalog_path)
    settings = on_sandbox(settings, home)
    catalog = load_catalog(catalog_path, settings.overlay)
    history = FakeHistory()
    ports = replace(open_ports(settings, catalog, None), history=history)  # type: ignore[arg-type]
    found = FarEnd(catalog, ports, json.loads(told.read_text()), history)
    found.settle()
    return found


def _slowest(observation: HealthObservation) -> float:
    """Seconds of the slowest answer that a look got, as its evidence tells."""
    told = [text for name, text in observation.evidence.items() if name.startswith(("pod", "http"))]
    return max(
        (float(text.split(" in ")[1].split()[0]) for text in told if " in " in text), default=0
    )
