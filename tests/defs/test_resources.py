"""What a run may reach: the cluster of its own environment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from dagster import DagsterInstance, DagsterRun

from flowmaster_delivery.defs.resources import Platform, at_home, home_of
from flowmaster_delivery.defs.submissions import voucher
from flowmaster_delivery.model.catalog import Environment
from flowmaster_delivery.model.errors import Permanent
from flowmaster_delivery.model.seal import seal
from flowmaster_delivery.policy.asking import Asker, Via
from flowmaster_delivery.ports import Cluster
from flowmaster_delivery.settings import Settings
from tests.builders import dev, production
from tests.defs.conftest import SEAL_KEY
from tests.defs.lab import Lab
from tests.defs.test_coordinator import a_job
from tests.fakes.fake_cluster import FakeCluster
from tests.flows.conftest import Platform as World

DANA = Asker("dana", Via.PROXY)


def a_run(memory: DagsterInstance, tags: Mapping[str, str], vouched: str = "") -> DagsterRun:
    run = memory.create_run_for_job(a_job(), tags=tags)
    if not vouched:
        return run
    sealed = seal(SEAL_KEY, voucher(run.run_id, DANA, vouched))
    memory.add_run_tags(run.run_id, {"flowmaster/voucher": sealed})
    found = memory.get_run_by_id(run.run_id)
    assert found
    return found


def test_a_run_is_at_home_where_it_was_admitted_whatever_its_tags_say(
    memory: DagsterInstance,
) -> None:
    tags = {"dagster/partition": "production"}
    assert home_of(a_run(memory, tags, vouched="dev"), SEAL_KEY) == "dev"


def test_a_run_that_nobody_vouches_for_is_at_home_where_its_tags_say(
    memory: DagsterInstance,
) -> None:
    vouched = a_run(memory, {}, vouched="production")
    copied = {**vouched.tags, "dagster/partition": "dev"}
    assert home_of(a_run(memory, copied), SEAL_KEY) == "dev"
    assert home_of(a_run(memory, {}), SEAL_KEY) is None


@pytest.mark.parametrize("home", ["dev", None])
def test_the_cluster_of_another_environment_is_refused_before_it_is_opened(
    home: str | None,
) -> None:
    opened: list[str] = []

    def cluster_of(environment: Environment) -> FakeCluster:
        opened.append(environment.name)
        return FakeCluster()

    clusters = at_home(cluster_of, home)
    with pytest.raises(Permanent, match="reaches for the cluster of production"):
        clusters(production())
    assert opened == []


def test_a_run_has_its_own_cluster_and_no_other(memory: DagsterInstance, lab: Lab) -> None:
    platform = Platform(lab.settings, lab.platform.catalog, lambda *_: lab.ports)
    run = a_run(memory, {"dagster/partition": "production"}, vouched="dev")
    cluster = platform.delivery(memory, run).ports.cluster
    assert cluster(dev()) is lab.clusters["dev"]
    with pytest.raises(Permanent, match="this run was admitted for dev and reaches for"):
        cluster(production())


def test_a_sensor_belongs_to_no_environment(memory: DagsterInstance, lab: Lab) -> None:
    platform = Platform(lab.settings, lab.platform.catalog, lambda *_: lab.ports)
    cluster = platform.delivery(memory).ports.cluster
    assert cluster(production()) is lab.clusters["production"]


@pytest.fixture
def lab(memory: DagsterInstance, settings: Settings) -> Lab:
    clusters: dict[str, Cluster] = {"dev": FakeCluster(), "production": FakeCluster()}
    return Lab(memory, settings, World(), clusters)
