"""`adopt` and `catalog`: what runs already, and what a catalog file may say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.model.errors import Unreachable
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.rollout import Method
from flowmaster_delivery.settings import Settings
from tests.builders import digest
from tests.cli.conftest import Shell
from tests.fakes.fake_cluster import FakeCluster
from tests.fakes.office import FakeOffice


@pytest.fixture
def cluster(office: FakeOffice) -> FakeCluster:
    """Two of three services run an image that the registry knows, built from a known commit."""
    cluster = FakeCluster()
    files = {path: path for s in office.catalog.services.values() for path in s.paths}
    commit = office.forge.push("platform", "main", "c1", files)
    for name in ("service-0", "service-1"):
        service = office.catalog.service(name)
        known = RegistryImage(digest(name), revision=commit)
        office.registry.images[service.image, known.digest] = known
        cluster.deploy(service, office.catalog.reference(service, known.digest))
    return cluster


@pytest.fixture
def adopting(office: FakeOffice, cluster: FakeCluster) -> Shell:
    ports = replace(office.ports, cluster=lambda _: cluster)
    served = office.serving(office.settings(), ports)
    return Shell(office, TestClient(served, base_url="http://127.0.0.1"))


def test_what_runs_is_taken_over_on_somebodys_word(adopting: Shell) -> None:
    result = adopting.run("adopt", "production", "--reason", "seen it run for a year")
    (record,) = adopting.office.history.deployments("service-0", "production")
    assert (record.method, record.digest) == (Method.ADOPTION, digest("service-0"))
    assert (record.asked_by, record.reason) == ("local", "seen it run for a year")
    assert "2 of 3 services of production are on record" in result.stdout


def test_what_cannot_be_adopted_is_named_and_fails_the_command(adopting: Shell) -> None:
    result = adopting.run("adopt", "production")
    assert result.exit_code == 1
    assert "service-2" in result.stderr
    assert "there is no Deployment service-2" in result.stderr


def test_adopting_twice_changes_nothing(adopting: Shell) -> None:
    adopting.run("adopt", "production")
    before = list(adopting.office.history.records)
    rows = json.loads(adopting.run("adopt", "production", "--json").stdout)
    assert adopting.office.history.records == before
    assert [row["why_not"] for row in rows][:2] == ["on record already"] * 2


def test_a_cluster_out_of_reach_adopts_nothing(adopting: Shell, cluster: FakeCluster) -> None:
    cluster.failing["workloads"] = [Unreachable("the API server does not answer")]
    result = adopting.run("adopt", "production")
    assert result.exit_code == 3
    assert "the API server does not answer" in result.stderr
    assert adopting.office.history.records == []


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(words), obj=Session(Settings.from_environ({})))
    return result.exit_code, result.stdout, result.stderr


def test_the_shipped_catalog_has_no_faults() -> None:
    status, said, _ = run("catalog", "check")
    assert status == 0
    assert "29 services of 7 repositories, 3 environments; no faults" in said


def test_every_fault_of_a_file_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("services: {api-gatway: {repositry: x}}\nfoo: 1\n")
    status, _, said = run("catalog", "check", str(path))
    assert status == 1
    assert "did you mean 'repository'?" in said
    assert f"{path}:2: foo: no such field" in said
    assert "Traceback" not in said


def test_a_catalog_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    status, _, said = run("catalog", "check", str(tmp_path / "none.yaml"))
    assert status != 0
    assert "none.yaml" in said
    assert "Traceback" not in said


def test_the_schema_is_json() -> None:
    status, said, _ = run("catalog", "schema")
    assert status == 0
    assert json.loads(said)["title"] == "CatalogFile"
