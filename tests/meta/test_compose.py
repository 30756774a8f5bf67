"""docker-compose.yml and its instance say what the rest of the project says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SECRET_FILE = re.compile(r"FLOWMASTER_([A-Z_]+)_FILE")
OF_RUNS = {"database-password", "seal-key", "gitlab-token", "registry-password", "kubeconfig"}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))
    return found


COMPOSE = read("docker-compose.yml")
SERVICES = COMPOSE["services"]
PLATFORM = sorted(name for name in SERVICES if name != "postgres")


def test_its_instance_is_the_projects_own_with_another_database_and_launcher() -> None:
    own, theirs = read("dagster.yaml"), read("compose/dagster.yaml")
    del own["event_log_storage"]
    assert theirs.pop("storage")["custom"]["class"] == "PostgresStorage"
    assert theirs.pop("run_launcher")["class"] == "DockerRunLauncher"
    assert theirs == own


def test_runs_get_variables_that_the_daemon_has() -> None:
    handed = set(read("compose/dagster.yaml")["run_launcher"]["config"]["env_vars"])
    environment = SERVICES["daemon"]["environment"]
    assert handed == set(environment)


def test_runs_are_in_the_network_and_take_over_the_mounts_that_are_there() -> None:
    config = read("compose/dagster.yaml")["run_launcher"]["config"]
    assert config["network"] == COMPOSE["networks"]["platform"]["name"]
    assert config["container_kwargs"]["volumes_from"] == [f"{SERVICES['run']['container_name']}:ro"]
    assert set(SERVICES["run"]["secrets"]) == OF_RUNS


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_a_variable(name: str) -> None:
    """Only names of files do, of files that the service mounts or that nobody reads there."""
    for variable, value in SERVICES[name]["environment"].items():
        if re.search("TOKEN|SECRET|PASSWORD|KEY", variable):
            assert variable.endswith(("_FILE", "_DIR")), variable
            assert value == "" or value.startswith(("/run/secrets/", "/etc/flowmaster/")), variable


@pytest.mark.parametrize("name", PLATFORM)
def test_a_variable_names_a_secret_that_there_is(name: str) -> None:
    named = {
        value.removeprefix("/run/secrets/")
        for value in SERVICES[name]["environment"].values()
        if value.startswith("/run/secrets/")
    }
    assert set(SERVICES[name]["secrets"]) <= named <= set(COMPOSE["secrets"])


def test_a_run_is_told_of_no_secret_that_it_does_not_mount() -> None:
    """The doctor, asked there, would miss it."""
    text = str(SERVICES["run"]["environment"])
    assert set(re.findall(r"/run/secrets/([a-z-]+)", text)) == set(SERVICES["run"]["secrets"])


def test_an_image_that_is_not_named_is_pinned_or_this_versions_own() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    assert {SERVICES[name]["image"].rpartition(":")[2] for name in PLATFORM} == {f"{version}}}"}
    assert re.search(
        r":-postgres:\d+\.\d+-\S+@sha256:[0-9a-f]{64}\}$", SERVICES["postgres"]["image"]
    )


def test_the_chart_brings_the_same_postgresql() -> None:
    default = SERVICES["postgres"]["image"].partition(":-")[2].rstrip("}")
    chart = read("helm/flowmaster-delivery/values.yaml")["postgresql"]["image"]
    assert chart == f"docker.io/library/{default}"


def test_every_variable_is_in_the_documentation() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    documented = (ROOT / "docs" / "one-machine.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+):", text))
    assert len(asked) > 8
    assert {name for name in asked if f"`{name}`" not in documented} == set()
