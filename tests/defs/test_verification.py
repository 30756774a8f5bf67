"""Verification as checks of `<service>/health`: what passed, failed, or could not be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from dagster import AssetCheckSeverity, AssetKey, DagsterInstance

from flowmaster_delivery.defs.containers import job_name
from flowmaster_delivery.model.analysis import MetricsRule
from flowmaster_delivery.model.errors import DeliveryError, Denied, Transient, Unreachable
from flowmaster_delivery.model.health import ProbeResult
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.rollback import Trigger
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.model.source import PipelineState
from flowmaster_delivery.model.verification import (
    HttpStep,
    SmokeTest,
    SuiteRule,
    Validation,
)
from flowmaster_delivery.ports import HttpAnswer
from flowmaster_delivery.settings import Settings
from tests.builders import a_service
from tests.defs.lab import Ran
from tests.defs.test_deployments import DevLab, started
from tests.flows.conftest import Platform

LOGIN = SmokeTest(
    "login", (HttpStep("POST", "/login", body={"password": "secret:smoke-password"}),)
)
SUITES = (Validation.CONTRACT, Validation.E2E)


def lab_asking(
    memory: DagsterInstance, settings: Settings, *asked: Validation, metrics: bool = False
) -> DevLab:
    """A lab whose dev asks for these validations."""
    platform = Platform()
    catalog = platform.catalog
    dev = replace(
        catalog.environments["dev"],
        base_url="http://dev.test",
        safeguards=Safeguards(validation=(Validation.HEALTH, *asked)),
        suites=SuiteRule("platform"),
        metrics=MetricsRule("http://prometheus.test") if metrics else None,
    )
    services = {name: replace(s, smoke=(LOGIN,)) for name, s in catalog.services.items()}
    platform.catalog = replace(
        catalog, environments={**catalog.environments, "dev": dev}, services=services
    )
    return started(memory, settings, platform)


@pytest.fixture
def secrets(tmp_path: Path, settings: Settings) -> Settings:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "smoke-password").write_text("correct horse\n")
    return replace(settings, secrets_dir=folder)


def shipped(lab: DevLab, *services: str) -> Ran:
    lab.push(*services)
    return lab.run("dev", services, ship=True)


def test_an_image_that_passes_is_verified_and_on_record(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.SMOKE, *SUITES)
    ran = shipped(lab, "api")
    assert ran.status == "SUCCESS", ran.words
    checks = ran.checks("api/health")
    assert {name: c.passed for name, c in checks.items()} == dict.fromkeys(
        ("endpoint", "smoke", "contract", "e2e"), True
    )
    assert checks["contract"].metadata["link"].value.startswith("http://forge/pipelines/")
    (found, *_) = lab.platform.history.verifications("api", "dev")
    assert (found.verified, found.digest) == (True, lab.digest("api"))
    assert found.run_id == ran.run.run_id
    assert lab.platform.history.observations("api", "dev")[0].digest == lab.digest("api")


def test_an_environment_that_asks_for_less_passes_the_other_checks(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets)
    staging = replace(
        lab.platform.catalog.environments["staging"],
        safeguards=Safeguards(validation=(Validation.HEALTH, Validation.CONTRACT)),
    )
    lab.platform.catalog = replace(
        lab.platform.catalog,
        environments={**lab.platform.catalog.environments, "staging": staging},
    )
    lab.__post_init__()
    ran = shipped(lab, "api")
    checks = ran.checks("api/health")
    assert set(checks) == {"endpoint", "contract"}
    assert checks["contract"].passed
    assert checks["contract"].description == "not required by policy"
    assert lab.platform.forge.started == {}


def test_a_failed_smoke_test_fails_the_run_and_goes_back_to_what_was_verified(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.SMOKE)
    assert shipped(lab, "api").status == "SUCCESS"
    good = lab.digest("api")
    head = lab.platform.forge.push("platform", "develop", "c3", {"services/api": "api-3"})
    lab.platform.build(head, "api")
    lab.probe.said["POST http://dev.test/api/login"] = HttpAnswer(500, None, 0.1)
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "FAILURE"
    smoke = ran.checks("api/health")["smoke"]
    assert (smoke.passed, smoke.severity) == (False, AssetCheckSeverity.ERROR)
    assert smoke.description == "login: POST /login answered 500, 200 was expected"
    assert not lab.platform.history.verifications("api", "dev")[0].verified
    assert lab.digest("api") == good
    (incident,) = lab.platform.history.incidents("dev")
    assert incident.trigger is Trigger.VERIFICATION
    assert "POST /login answered 500" in incident.reason


def test_what_could_not_be_told_is_a_warning_and_no_way_back(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.SMOKE)
    lab.probe.said["POST http://dev.test/api/login"] = Transient("this machine has no network")
    ran = shipped(lab, "api")
    assert ran.status == "SUCCESS", ran.words
    smoke = ran.checks("api/health")["smoke"]
    assert (smoke.passed, smoke.severity) == (False, AssetCheckSeverity.WARN)
    assert lab.platform.history.verifications("api", "dev")[0].outcome is Outcome.ERROR
    assert [event.kind for event in lab.platform.notifier.told][-1] == "not_verified"


def test_a_secret_is_sent_and_stands_in_no_event(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.SMOKE)
    ran = shipped(lab, "api")
    assert lab.probe.called[0].body == {"password": "correct horse"}
    assert "correct horse" not in "".join(map(repr, ran.events))


def test_a_secret_that_is_missing_is_named(memory: DagsterInstance, settings: Settings) -> None:
    lab = lab_asking(memory, settings, Validation.SMOKE)
    smoke = shipped(lab, "api").checks("api/health")["smoke"]
    assert smoke.severity is AssetCheckSeverity.WARN
    assert "set FLOWMASTER_SECRETS_DIR" in (smoke.description or "")


def test_services_that_roll_out_side_by_side_share_their_pipelines(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, *SUITES)
    ran = shipped(lab, "api", "web")
    assert ran.status == "SUCCESS", ran.words
    told = list(lab.platform.forge.started.values())
    assert [one["SUITE"] for one in told] == ["contract", "e2e"]
    assert {one["SERVICES"] for one in told} == {"api,web"}
    assert {one["RUN"] for one in told} == {ran.run.run_id}


def test_a_later_wave_is_tested_by_pipelines_of_its_own_and_stopped_by_a_red_one(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.CONTRACT)
    catalog = lab.platform.catalog
    web = replace(catalog.services["web"], depends_on=("api",))
    lab.platform.catalog = replace(catalog, services={**catalog.services, "web": web})
    lab.__post_init__()
    ran = shipped(lab, "api", "web")
    assert ran.status == "SUCCESS", ran.words
    assert [one["SERVICES"] for one in lab.platform.forge.started.values()] == ["api", "web"]
    lab.platform.forge.ends.append(({"SERVICES": "api"}, PipelineState.FAILED))
    before = lab.digest("web")
    head = lab.platform.forge.push(
        "platform", "develop", "c3", {"services/api": "3", "services/web": "3"}
    )
    lab.platform.build(head, "api", "web")
    again = lab.run("dev", ("api", "web"), ship=True)
    assert again.status == "FAILURE"
    assert lab.digest("web") == before


def test_a_rollback_of_several_services_is_tested_together(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.CONTRACT)
    shipped(lab, "api", "web")
    lab.platform.forge.started.clear()
    lab.run("dev", ("api", "web"), ("deployment", "health"), rollback_to="previous", reason="x")
    assert [one["SERVICES"] for one in lab.platform.forge.started.values()] == ["api,web"]


def test_gitlab_away_is_a_warning(memory: DagsterInstance, secrets: Settings) -> None:
    lab = lab_asking(memory, secrets, Validation.CONTRACT)
    lab.push("api")
    lab.run("dev", ("api",), ("image", "promotion", "deployment"), ship=True)
    lab.platform.forge.broken["platform"] = Unreachable("GitLab is down")
    ran = lab.run("dev", ("api",), ("health",))
    assert ran.status == "SUCCESS", ran.words
    contract = ran.checks("api/health")["contract"]
    assert (contract.passed, contract.severity) == (False, AssetCheckSeverity.WARN)
    assert "GitLab is down" in (contract.description or "")


def test_what_does_not_answer_is_asked_nothing_else(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.SMOKE)
    lab.dev.answers["api"] = ProbeResult("pod://api", 503, 0.01)
    ran = shipped(lab, "api")
    assert ran.status == "FAILURE"
    assert ran.failed_checks("api") == {"endpoint": "ERROR", "smoke": "WARN"}
    assert lab.probe.called == []
    assert lab.platform.history.verifications("api", "dev")[0].outcome is Outcome.FAILURE


def test_figures_are_on_record_with_the_verification(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, metrics=True)
    lab.metrics.tell("api-", requests=5000, p95=0.1, cpu=0.5, memory=0.5)
    ran = shipped(lab, "api")
    assert ran.status == "SUCCESS", ran.words
    assert len(lab.platform.history.verifications("api", "dev")[0].figures) == 4


def test_a_service_that_was_never_rolled_out_has_nothing_to_verify(
    memory: DagsterInstance, secrets: Settings
) -> None:
    lab = lab_asking(memory, secrets, Validation.SMOKE)
    lab.instance.wipe_assets([AssetKey(["api", "deployment"])])
    ran = lab.run("dev", ("api",), ("health",))
    smoke = ran.checks("api/health")["smoke"]
    assert (smoke.passed, smoke.severity) == (False, AssetCheckSeverity.WARN)
    assert "nothing was rolled out here" in (smoke.description or "")
    assert lab.platform.history.verifications("api", "dev") == ()


@pytest.mark.parametrize(
    ("ended", "outcome", "words"),
    [
        ((True, ""), Outcome.SUCCESS, "passed: browser"),
        ((False, "Error, exit code 1"), Outcome.FAILURE, "failed: Error, exit code 1"),
        (
            (False, "Job was active longer than specified deadline"),
            Outcome.INCONCLUSIVE,
            "has not ended in time",
        ),
        (Unreachable("job smoke has not ended after 30 s"), Outcome.INCONCLUSIVE, "has not ended"),
        (Denied("the cluster says no (403)"), Outcome.ERROR, "the cluster says no"),
    ],
)
def test_a_container_is_judged_by_what_the_cluster_says_of_its_job(
    memory: DagsterInstance,
    settings: Settings,
    tmp_path: Path,
    ended: tuple[bool, str] | DeliveryError,
    outcome: Outcome,
    words: str,
) -> None:
    nowhere = replace(settings, kubeconfig=tmp_path / "none")
    lab = lab_asking(memory, nowhere, Validation.SMOKE)
    test = SmokeTest("browser", image="registry.test/browser:1", command=("run", "all"))
    catalog = lab.platform.catalog
    api = replace(catalog.services["api"], smoke=(test,))
    lab.platform.catalog = replace(catalog, services={**catalog.services, "api": api})
    lab.__post_init__()
    if isinstance(ended, DeliveryError):
        lab.dev.failing["run_job"] = [ended]
    else:
        lab.dev.jobs = Told(ended)
    shipped(lab, "api")
    (found, *_) = lab.platform.history.verifications("api", "dev")
    assert found.outcome is outcome
    assert words in found.results[1].words


class Told(dict[str, tuple[bool, str]]):
    """Jobs that all end alike, whatever their names."""

    def __init__(self, ended: tuple[bool, str]) -> None:
        super().__init__()
        self._ended = ended

    def setdefault(self, _name: str, _default: object = None) -> tuple[bool, str]:
        return self._ended


def test_the_name_of_a_smoke_job_is_one_of_kubernetes_and_of_its_run() -> None:
    service, test = a_service("a" * 60), SmokeTest("login", image="x")
    names = {job_name(run, service, test) for run in ("r1", "r2")}
    assert len(names) == 2
    assert all(len(name) <= 63 and name[-1].isalnum() for name in names)
    assert job_name("r1", service, test) in names
