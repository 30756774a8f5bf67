"""Safeguards from YAML: the requirements' numbers, what a service has of its own, and faults."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.adapters.yaml_catalog.values import share
from flowmaster_delivery.model.analysis import Figure
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.errors import CatalogFault
from flowmaster_delivery.model.rollback import Action, Trigger
from flowmaster_delivery.model.verification import Validation

BASE = """\
name: small
forge_url: http://127.0.0.1:1
registry_url: http://127.0.0.1:2
repositories:
  platform: {project: group/platform}
  testing: {project: group/testing}
environments:
  dev: {namespace: dev, ref: {branch: develop}, automatic: true}
  production:
    namespace: production
    upstream: dev
    ref: {tag: vX.Y.Z}
    gates: [soak]
    soak: {standard: 24h}
    metrics: {url: http://127.0.0.1:3}
    validation: [performance, health, smoke]
    canary: {steps: [{pods: 1, weight: 10, pause: 5m}]}
    rollback: {error_rate: {over: 2%}}
services:
  gateway:
    repository: platform
    path: services/gateway
    migrations: [schema]
    smoke: [{name: login, steps: [{method: POST, path: /login}]}]
    safeguards:
      production: {canary: {enabled: false}, rollback: {latency: {action: never}}}
  auth:
    repository: platform
    path: services/auth
  schema:
    kind: job
    repository: platform
    path: databases
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(BASE)
    return path


@pytest.fixture
def catalog(file: Path) -> Catalog:
    return load_catalog(file)


def test_what_is_not_said_is_the_requirements_table(catalog: Catalog) -> None:
    rule = catalog.environments["dev"].safeguards.rollback
    rate, latency = rule.of(Trigger.ERROR_RATE).limit, rule.of(Trigger.LATENCY).limit
    assert rule.of(Trigger.HEALTH).action is Action.AUTOMATIC
    assert rate is not None
    assert latency is not None
    assert (rate.at_most, rate.window) == (0.05, timedelta(minutes=5))
    assert rule.of(Trigger.ERROR_RATE).action is Action.AUTOMATIC
    assert (latency.at_most, latency.window) == (2.0, timedelta(minutes=10))
    assert latency.times_baseline
    assert rule.of(Trigger.LATENCY).action is Action.ASK


def test_figures_after_a_rollout_are_the_requirements_numbers(catalog: Catalog) -> None:
    limits = catalog.environments["production"].safeguards.performance.limits
    assert {limit.figure: limit.at_most for limit in limits} == {
        Figure.LATENCY_P95: 0.2,
        Figure.ERROR_RATE: 0.001,
        Figure.CPU: 0.7,
        Figure.MEMORY: 0.8,
    }


def test_a_canary_allows_one_percent_of_errors_and_needs_300_requests(catalog: Catalog) -> None:
    canary = catalog.environments["production"].safeguards.canary
    assert canary is not None
    rate = canary.limits[0]
    assert (rate.figure, rate.at_most, rate.needed_requests) == (Figure.ERROR_RATE, 0.01, 300)
    assert [(s.pods, s.weight, s.pause) for s in canary.steps] == [(1, 10, timedelta(minutes=5))]


def test_validations_stand_in_the_order_in_which_they_are_asked(catalog: Catalog) -> None:
    found = catalog.environments["production"].safeguards.validation
    assert found == (Validation.HEALTH, Validation.SMOKE, Validation.PERFORMANCE)


def test_a_services_own_safeguards_are_over_those_of_the_environment(catalog: Catalog) -> None:
    production = catalog.environments["production"]
    own = production.safeguards_of(catalog.services["gateway"])
    rate = own.rollback.of(Trigger.ERROR_RATE).limit
    assert own.canary is None
    assert own.rollback.of(Trigger.LATENCY).action is Action.NEVER
    assert rate is not None
    assert rate.at_most == 0.02
    assert own.validation == production.safeguards.validation
    assert production.safeguards_of(catalog.services["auth"]) is production.safeguards


def test_a_service_rolls_out_after_its_migrations(catalog: Catalog) -> None:
    assert catalog.services["gateway"].depends_on == ("schema",)


@pytest.mark.parametrize(("written", "found"), [("5%", 0.05), ("0.1%", 0.001), (0.3, 0.3)])
def test_a_share_is_a_percentage_or_a_number(written: object, found: float) -> None:
    assert share(written) == pytest.approx(found)


@pytest.mark.parametrize("written", ["5", "-1%", "five", 5, -0.1, True, None, "1e3%"])
def test_what_is_no_share_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="a share is a percentage"):
        share(written)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("    metrics: {url: http://127.0.0.1:3}\n", "", "canary: needs the environment's metrics"),
        ("migrations: [schema]", "migrations: [auth]", "'auth' is of kind deployment, and no job"),
        ("migrations: [schema]", "migrations: [shema]", "did you mean 'schema'?"),
        ("steps: [{method: POST, path: /login}]", "timeout: 3s", "needs either 'steps' or"),
        ("      production: {canary", "      prod: {canary", "did you mean 'production'?"),
        ("over: 2%", "over: 200%", "less than or equal to 1"),
        ("over: 2%", "window: 0s", "rollback.error_rate.window: must be longer than 0s"),
        ("{action: never}", "{window: 0s}", "rollback.latency.window: must be longer than 0s"),
        (
            "    gates: [soak]",
            "    gates: [soak]\n    performance: {window: 0s}",
            "performance.window: must be longer than 0s",
        ),
        ("action: never", "action: sometimes", "'sometimes' is not known"),
        ("smoke]", "contract]", "'contract' needs the environment's suites"),
        (
            "    gates: [soak]",
            "    gates: [soak]\n    override: {group: group/seniors, gates: [freeze]}",
            "'freeze' is not asked for here",
        ),
        (
            "    gates: [soak]",
            "    gates: [soak]\n    suites: {repository: test}",
            "there is no repository 'test'",
        ),
    ],
)
def test_a_safeguard_that_could_not_work_is_a_fault(
    file: Path, old: str, new: str, fault: str
) -> None:
    assert BASE.count(old) == 1
    file.write_text(BASE.replace(old, new))
    with pytest.raises(CatalogFault) as caught:
        load_catalog(file)
    assert any(fault in one for one in caught.value.faults), caught.value.faults
