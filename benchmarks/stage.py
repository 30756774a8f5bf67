"""A whole platform on the sandbox, up while it is measured: 29 services of one repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from rich.console import Console

from benchmarks.catalogs import write_catalog
from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.demo.people import Clone, Person, Project
from flowmaster_delivery.cli.up.command import chosen_ports
from flowmaster_delivery.cli.up.platform import Platform, running
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.settings import Settings

SERVICES = 29
AUTHOR = "dana"


@dataclass(frozen=True, slots=True)
class Stage:
    """What is up, and who works with it."""

    platform: Platform
    catalog: Catalog
    told: dict[str, Any]
    """The sandbox's addresses."""

    @property
    def project(self) -> Project:
        (repository,) = self.catalog.repositories.values()
        return Project(repository.project)

    @property
    def namespace(self) -> str:
        return self.catalog.environment("dev").namespace

    def author(self) -> Person:
        folder = self.platform.home.folder / "bench"
        return Person(AUTHOR, str(self.told["gitlab_url"]), folder, self.told["users"][AUTHOR])

    def clone(self) -> Clone:
        return self.author().clone(self.project.path, "develop")

    def order_pods(self, **order: object) -> None:
        """Tell the sandbox's cluster how pods shall fare from now on."""
        self._order(
            f"{self.told['control_url']}/sandbox/pods",
            order,
            {"Authorization": f"Bearer {self.told['control_token']}"},
        )

    def lose_webhooks(self, count: int) -> None:
        self._order(
            f"{self.told['gitlab_url']}/sandbox/webhooks",
            {"lose": count},
            {"PRIVATE-TOKEN": str(self.told["gitlab_token"])},
        )

    def adopt(self, environment: str) -> None:
        """The platform takes over what runs; done when the server has answered."""
        httpx.post(
            f"{self.platform.ports.server_url}/api/adoptions",
            json={"environment": environment, "reason": "benchmark"},
            timeout=120,
            trust_env=False,
        ).raise_for_status()

    def graphql(self, query: str) -> Any:
        url = f"{self.platform.ports.ui_url}/graphql"
        answer = httpx.post(url, json={"query": query}, timeout=60, trust_env=False)
        return answer.raise_for_status().json()["data"]

    def _order(self, url: str, order: dict[str, Any], headers: dict[str, str]) -> None:
        httpx.post(url, json=order, headers=headers, timeout=20, trust_env=False).raise_for_status()


@contextmanager
def up() -> Iterator[Stage]:
    """The platform, up and adopted in dev within this block and gone after it."""
    with TemporaryDirectory() as folder:
        path = write_catalog(Path(folder) / "catalog.yaml", SERVICES, repositories=1)
        home = Path(folder) / "home"
        settings = replace(Settings.from_environ({"DAGSTER_HOME": str(home)}), catalog=path)
        ports = chosen_ports(0, 0)
        with running(settings, home, ports, Console(quiet=True), on_sandbox_=True) as platform:
            catalog = load_catalog(path, platform.settings.overlay)
            stage = Stage(platform, catalog, dict(platform.sandbox or {}))
            stage.adopt("dev")
            yield stage
