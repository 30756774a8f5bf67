"""The rights of whoever launches runs are those of the calls that launching, monitoring and ending
them makes: not one more, not one less. Derived from what the sandbox, and the audit log of a real
API server, saw of an account that has exactly these rights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterRun
from dagster._core.launcher.base import WorkerStatus

from flowmaster_delivery.model.rights import Right
from flowmaster_delivery.policy.rights import launching_rights
from tests.contracts.accounts import Account
from tests.contracts.launching import DIGEST, Site, environment_variables, job_name, site
from tests.contracts.namespaces import Namespace, await_until
from tests.contracts.test_rights import differences


@pytest.fixture
def account(room: Namespace) -> Account:
    return room.target.account(room.name, launching_rights())


@pytest.fixture
def here(
    room: Namespace, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    for name, value in environment_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    with site(tmp_path, room, account.kubeconfig) as made:
        yield made


def working(here: Site) -> DagsterRun:
    run = here.begun(here.launched("dev"))
    await_until(lambda: here.room.names("pods") != set())
    return run


def test_what_is_given_is_what_is_asked_for(here: Site, account: Account) -> None:
    """Launched, looked at, found crashed, ended; another one was deleted by somebody."""
    run = working(here)
    assert here.health(run).status is WorkerStatus.RUNNING
    here.room.target.fare(DIGEST, "crash", "the process was killed")
    await_until(lambda: here.health(run).status is WorkerStatus.FAILED)
    told = here.launcher.get_run_worker_debug_info(run, include_container_logs=True)
    assert "Terminated with exit code" in (told or "")
    assert here.launcher.terminate(run.run_id) is True

    here.room.target.fare(DIGEST, "unschedulable")
    other = working(here)
    body = {"propagationPolicy": "Background"}
    here.room.api.once("DELETE", here.room.path("jobs", job_name(other)), body=body)
    await_until(lambda: here.room.names("pods") == set())
    assert here.health(other).status is WorkerStatus.RUNNING
    assert here.health(other).status is WorkerStatus.UNKNOWN
    told = here.launcher.get_run_worker_debug_info(other)
    assert f"No pod of job {job_name(other)} was found" in (told or "")
    assert differences(launching_rights(), account.asked()) == (set(), set())


def test_without_the_right_to_look_a_run_counts_while_its_pod_lives(
    room: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    blind = room.target.account(room.name, without("jobs/status"))
    with site(tmp_path, room, blind.kubeconfig, patience_seconds=0.0) as here:
        run = working(here)
        for _ in range(3):
            assert here.health(run).status is WorkerStatus.RUNNING


def test_without_the_right_to_launch_a_run_fails_with_the_words_of_the_cluster(
    room: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    nobody = room.target.account(room.name, without("jobs"))
    with site(tmp_path, room, nobody.kubeconfig) as here:
        said = here.words(here.launched("dev"))
    assert "Kubernetes refuses its Job (403)" in said
    assert "check the quota and the Role of the ServiceAccount that launches runs" in said


def without(resource: str) -> tuple[Right, ...]:
    return tuple(right for right in launching_rights() if right.resource != resource)
