"""A run of api's delivery to dev, in a process of its own: `python -m tests.stories.rolling`.

GitLab and the registry are in memory and the same in every process; the instance is on files in
FOLDER, and the cluster is the one that FOLDER/kubeconfig names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from flowmaster_delivery.adapters.kubernetes import KubernetesClusters
from flowmaster_delivery.settings import Settings
from tests.defs.conftest import SEAL_KEY
from tests.defs.lab import Lab, Ran
from tests.flows.conftest import Platform

CHAPTERS = ("image", "promotion", "deployment")
NAMESPACE = "flowmaster-dev"
ON_FILES: Mapping[str, Any] = {"telemetry": {"enabled": False}}


@contextmanager
def a_lab(
    folder: Path, services: tuple[str, ...] = ("api",), overrides: Mapping[str, Any] = ON_FILES
) -> Iterator[Lab]:
    """The definitions on the folder's instance, with what CI built for develop's head."""
    platform = Platform()
    dev = replace(platform.catalog.environment("dev"), context="test", namespace=NAMESPACE)
    environments = {**platform.catalog.environments, "dev": dev}
    platform.catalog = replace(platform.catalog, environments=environments)
    sources = {f"services/{name}": f"{name}-2" for name in services}
    head = platform.forge.push("platform", "develop", "c2", sources)
    platform.build(head, *services)
    (folder / "seal-key").write_text(SEAL_KEY)
    (folder / "home").mkdir(exist_ok=True)
    settings = Settings.from_environ(
        {
            "DAGSTER_HOME": str(folder / "home"),
            "FLOWMASTER_SEAL_KEY_FILE": str(folder / "seal-key"),
        }
    )
    clusters = KubernetesClusters(folder / "kubeconfig")
    with DagsterInstance.local_temp(str(folder / "home"), dict(overrides)) as instance:
        yield Lab(instance, settings, platform, {"dev": clusters(dev)})
    clusters.close()


def deliver(lab: Lab, services: tuple[str, ...] = ("api",)) -> Ran:
    return lab.run("dev", services, CHAPTERS, ship=True)


if __name__ == "__main__":
    with a_lab(Path(sys.argv[1])) as mine:
        deliver(mine)
