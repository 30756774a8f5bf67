"""Runs as pods: what the launcher makes of a run on a cluster, the sandbox's and a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from tests.builders import catalog_yaml
from tests.contracts.launching import Site, site
from tests.contracts.namespaces import Namespace
from tests.defs.conftest import SEAL_KEY


@pytest.fixture
def here(room: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "seal-key").write_text(SEAL_KEY)
    (tmp_path / "catalog.yaml").write_text(catalog_yaml(3))
    monkeypatch.setenv("FLOWMASTER_SEAL_KEY_FILE", str(tmp_path / "seal-key"))
    monkeypatch.setenv("FLOWMASTER_CATALOG", str(tmp_path / "catalog.yaml"))
    monkeypatch.setenv("FLOWMASTER_IDENTITY_HEADER", "X-Forwarded-User")
    with site(tmp_path, room) as made:
        yield made


def test_a_run_becomes_a_job_with_its_environments_service_account(here: Site) -> None:
    run = here.launched("dev")
    assert run.status is DagsterRunStatus.STARTING
    pod = here.job(run)["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "flowmaster-env-dev"
    assert pod["automountServiceAccountToken"] is True
