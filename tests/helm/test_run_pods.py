"""Runs as pods, as the chart sets them up: its instance is one that Dagster and the launcher take,
and a real API server takes the Jobs that follow from it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster._core.instance.ref import InstanceRef
from ruamel.yaml import YAML

from flowmaster_delivery.defs.launcher import EnvironmentRunLauncher
from tests.contracts.clusters import Target, real, sandbox
from tests.contracts.launching import Site, environment_variables, site
from tests.contracts.namespaces import Namespace, namespace
from tests.helm.charts import named, render
from tests.helm.test_pods import EVERYTHING

CASES: dict[str, dict[str, Any]] = {
    "least": {},
    "everything": EVERYTHING,
    "without DNS": {"serviceDiscovery": "env"},
}


def instance_of(values: dict[str, Any]) -> str:
    """The dagster.yaml that the chart writes."""
    text: str = named(render(values), "ConfigMap", "instance")["data"]["dagster.yaml"]
    return text


@pytest.fixture(scope="module", params=CASES)
def dagster_yaml(request: pytest.FixtureRequest) -> str:
    return instance_of(CASES[request.param])


def test_the_launcher_takes_the_charts_config(dagster_yaml: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(dagster_yaml)
    ref = InstanceRef.from_dir(str(tmp_path))
    assert isinstance(ref.run_launcher, EnvironmentRunLauncher)


@pytest.fixture(scope="module", params=[sandbox, real], ids=["sandbox", "real"])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    with request.param(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def room(target: Target) -> Iterator[Namespace]:
    with namespace(target) as found:
        yield found


def test_the_api_server_takes_the_jobs_that_follow_from_it(
    room: Namespace, dagster_yaml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    said = dict(YAML(typ="safe").load(io.StringIO(dagster_yaml))["run_launcher"]["config"])
    said.pop("job_namespace")
    with site(tmp_path, room, **said) as here:
        for environment in ("dev", "staging", "production"):
            pod = pod_of(here, environment)
            [container] = pod["containers"]
            names = [variable["name"] for variable in container["env"]]
            assert len(names) == len(set(names))
            assert pod["serviceAccountName"].endswith(f"-env-{environment}")
            assert container["image"] == said["job_image"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in pod["volumes"]}


def pod_of(here: Site, environment: str) -> dict[str, Any]:
    found: dict[str, Any] = here.job(here.launched(environment))["spec"]["template"]["spec"]
    return found
