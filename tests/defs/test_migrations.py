"""Migrations as assets: a schema first, then what works on it; half of one stops the release."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dagster import DagsterInstance

from flowmaster_delivery.flows.migrations.schemas import settle
from flowmaster_delivery.model.catalog import GateName, Kind
from flowmaster_delivery.model.image import RegistryImage
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.settings import Settings
from tests.defs.test_deployments import DevLab, started
from tests.flows.conftest import NOW, Platform

SAID = {
    "ai.flowmaster.migration.before": "0",
    "ai.flowmaster.migration.after": "1",
    "ai.flowmaster.migration.phase": "expand",
    "ai.flowmaster.migration.reversible": "false",
    "ai.flowmaster.migration.up": '["migrate", "up"]',
}


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> DevLab:
    """`web` migrates the schema that `api` works on; dev asks the gate. Both were pushed."""
    platform = Platform()
    services = dict(platform.catalog.services)
    services["web"] = replace(services["web"], kind=Kind.JOB)
    services["api"] = replace(services["api"], depends_on=("web",), migrations=("web",))
    dev = platform.catalog.environments["dev"]
    gates = (*dev.gates, GateName.MIGRATIONS)
    places = {**platform.catalog.environments, "dev": replace(dev, gates=gates)}
    platform.catalog = replace(platform.catalog, services=services, environments=places)
    made = started(memory, settings, platform)
    head = made.push("api", "web")
    label(made, "web", head, SAID)
    label(made, "api", head, {"ai.flowmaster.schema.web": "1"})
    return made


def label(lab: DevLab, name: str, commit: str, said: dict[str, str]) -> None:
    image, digest = lab.service(name).image, lab.built(name, commit)
    lab.platform.registry.images[image, digest] = RegistryImage(
        digest, revision=commit, labels=said
    )


def test_the_schema_comes_first_and_then_what_works_on_it(lab: DevLab) -> None:
    ran = lab.run("dev", ("web",), ship=True)
    assert ran.status == "SUCCESS", ran.words
    ran = lab.run("dev", ("api",), ship=True)
    assert ran.status == "SUCCESS", ran.words
    assert list(lab.dev.commands.values()) == [("migrate", "up")]
    [ended, begun] = lab.platform.history.migrations("web", "dev")
    assert (begun.outcome, ended.outcome) == (Outcome.INCONCLUSIVE, Outcome.SUCCESS)
    assert (ended.version, ended.asked_by) == (1, "dana")
    assert str(lab.platform.history.deployments("api", "dev")[0].needs("web")) == "1"


def test_a_job_that_says_nothing_is_not_admitted(lab: DevLab) -> None:
    label(lab, "web", lab.platform.forge.branches["platform"]["develop"], {})
    ran = lab.run("dev", ("web",), ship=True)
    assert "migrations" in ran.failed_checks("web")
    assert lab.dev.jobs == {}


def test_what_needs_a_schema_that_is_not_on_record_is_not_admitted(lab: DevLab) -> None:
    ran = lab.run("dev", ("api",), ship=True)
    assert "migrations" in ran.failed_checks("api")
    assert "set_image" not in lab.dev.calls


def test_half_a_migration_stops_this_run_and_later_ones_until_a_person_settles_it(
    lab: DevLab,
) -> None:
    lab.run("dev", ("api", "web"), ("image",), ship=True)
    lab.run("dev", ("web",), ("promotion",), ship=True)
    lab.run("dev", ("api",), ("promotion",), ship=True)
    name = f"web-{lab.built('web', lab.platform.forge.branches['platform']['develop'])[7:19]}-up"
    lab.dev.jobs[name] = (False, "exit code 3")
    ran = lab.run("dev", ("api", "web"), ("deployment",), ship=True)
    assert "stopped: an earlier wave failed: web/deployment" in ran.words
    assert "failed halfway: exit code 3" in ran.words
    later = lab.run("dev", ("api",), ("deployment",), ship=True)
    assert "the gate of api in dev is closed: migrations" in later.words
    assert "set_image" not in lab.dev.calls
    history, dev = lab.platform.history, lab.platform.catalog.environment("dev")
    settle(lab.service("web"), dev, 1, "made by hand", "sam", history, NOW)
    mended = lab.run("dev", ("api",), ("deployment",), ship=True)
    assert mended.status == "SUCCESS", mended.words
