"""`flowmaster canary`: what runs, orders that are recorded, and refusals in words."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from flowmaster_delivery.model.canary import Canary, CanaryCommand, CanaryRule, CanaryStep
from flowmaster_delivery.model.catalog import Environment, Service
from flowmaster_delivery.model.outcome import Outcome
from flowmaster_delivery.model.safeguards import Safeguards
from flowmaster_delivery.policy.canary_marks import marks
from tests.builders import a_catalog, a_service, dev, digest, production, staging
from tests.cli.conftest import Shell
from tests.fakes.fake_cluster import FakeCluster
from tests.fakes.office import START

PAUSE = timedelta(minutes=5)
RULE = CanaryRule(steps=(CanaryStep(1, PAUSE), CanaryStep(2, PAUSE)), limits=())
API = a_service("api")


@pytest.fixture
def cluster(shell: Shell) -> FakeCluster:
    """Production with a canary of `api` on it: 1 of 4 pods."""
    made = FakeCluster()
    made.deploy(API, f"registry/api@{digest('old')}", desired=3, updated=3, total=3, available=3)
    canary = Canary(
        digest(), "run-1", 7, START - timedelta(minutes=1), START + timedelta(hours=3),
        version="v1.2.3", said="0.3 % of 412 requests failed, 1 % may",
    )  # fmt: skip
    made.create_canary(API, f"registry/api@{digest()}", pods=1, annotations=marks(canary))
    made.edit("api-canary", available=1)
    with_canary = production(safeguards=Safeguards(canary=RULE))
    office = shell.office
    office.catalog = a_catalog(services=[API], environments=[dev(), staging(), with_canary])
    office.clusters = lambda _: made
    shell.client.app.state.office = office.app().state.office  # type: ignore[attr-defined]
    return made


def given(shell: Shell) -> list[tuple[str, str, str]]:
    found = shell.office.history.canary_orders("api", "production")
    return [(order.command.value, order.by, order.reason) for order in found]


@pytest.mark.parametrize("command", [command.value for command in CanaryCommand])
def test_an_order_is_recorded_with_author_and_reason(
    shell: Shell, cluster: FakeCluster, command: str
) -> None:
    result = shell.run("canary", command, "production", "api", "--reason", "so be it")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("the canary of api in production ")
    assert given(shell) == [(command, "local", "so be it")]


def test_an_order_counts_for_the_canary_that_runs_whatever_the_clocks_say(
    shell: Shell, cluster: FakeCluster
) -> None:
    shell.office.now = START - timedelta(hours=1)
    shell.run("canary", "abort", "production", "api", "--reason", "x")
    (order,) = shell.office.history.canary_orders("api", "production")
    assert order.at > START - timedelta(minutes=1)


def test_canaries_are_shown_with_their_share_and_last_judgement(
    shell: Shell, cluster: FakeCluster
) -> None:
    shown = shell.run("canary", "status").stdout
    for word in ("api", "production", "v1.2.3", "1 of 2", "1 of 4 pods", "0.3 % of 412 requests"):
        assert word in shown
    shell.run("canary", "pause", "production", "api", "--reason", "lunch")
    assert "paused by local: lunch" in " ".join(shell.run("canary").stdout.split())


def test_canaries_are_told_to_machines(shell: Shell, cluster: FakeCluster) -> None:
    (row,) = json.loads(shell.run("canary", "status", "production", "--json").stdout)
    assert (row["service"], row["step"], row["steps"]) == ("api", 1, 2)
    assert (row["share"], row["asked"], row["order"]) == ("1 of 4 pods", False, None)


def test_an_environment_without_canaries_says_so(shell: Shell, cluster: FakeCluster) -> None:
    assert shell.run("canary", "status", "dev").stdout == "no canary is running\n"


def test_where_no_canary_runs_an_order_is_refused(shell: Shell, cluster: FakeCluster) -> None:
    del cluster.deployments["api-canary"]
    result = shell.run("canary", "abort", "production", "api", "--reason", "x")
    assert result.exit_code == 1
    assert "no canary of api in production is running" in result.stderr
    assert given(shell) == []


def test_a_canary_that_has_ended_takes_no_orders(shell: Shell, cluster: FakeCluster) -> None:
    live = cluster.deployments["api-canary"].annotations
    ended = {**live, "flowmaster.ai/canary-verdict": Outcome.FAILURE.value}
    cluster.edit("api-canary", annotations=ended)
    result = shell.run("canary", "promote", "production", "api", "--reason", "x")
    assert result.exit_code == 1
    assert "has ended already (failure)" in result.stderr


def test_unknown_names_are_told_with_the_nearest(shell: Shell, cluster: FakeCluster) -> None:
    service = shell.run("canary", "abort", "production", "apy", "--reason", "x")
    environment = shell.run("canary", "status", "prodution")
    assert (service.exit_code, environment.exit_code) == (2, 2)
    assert "did you mean 'api'?" in service.stderr
    assert "did you mean 'production'?" in environment.stderr


def test_an_unknown_order_is_refused_with_the_nearest(shell: Shell, cluster: FakeCluster) -> None:
    body = {"environment": "production", "service": "api", "command": "abrot", "reason": "x"}
    answer = shell.client.post("/api/canaries/orders", json=body)
    assert answer.status_code == 409
    assert "did you mean 'abort'?" in answer.json()["error"]["message"]


def test_only_operators_may_order(shell: Shell, cluster: FakeCluster) -> None:
    office = shell.office
    office.operated_by("production", "group/operators")
    shell.client.app.state.office = office.app().state.office  # type: ignore[attr-defined]
    office.person("dana", 1)
    office.person("olga", 2, "group/operators")
    words = ("canary", "abort", "production", "api", "--reason", "x")
    assert shell.run(*words, token="dana-token").exit_code == 1
    assert shell.run(*words, token="olga-token").exit_code == 0
    assert given(shell) == [("abort", "olga", "x")]


def test_a_service_is_called_as_the_catalog_calls_it(shell: Shell, cluster: FakeCluster) -> None:
    """Its Deployment may have another name."""
    service = Service(**{**_fields(API), "name": "gateway", "workload": "api", "container": "api"})
    places: list[Environment] = list(shell.office.catalog.environments.values())
    shell.office.catalog = a_catalog(services=[service], environments=places)
    shell.client.app.state.office = shell.office.app().state.office  # type: ignore[attr-defined]
    (row,) = json.loads(shell.run("canary", "status", "--json").stdout)
    assert row["service"] == "gateway"


def _fields(service: Service) -> dict[str, object]:
    return {name: getattr(service, name) for name in service.__dataclass_fields__}
