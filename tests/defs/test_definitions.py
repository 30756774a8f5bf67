"""The definitions as the servers load them."""

from __future__ import annotations

import pytest
from dagster import AssetKey, DagsterRun, Definitions
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.utils import make_new_run_id

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.definitions import defs
from flowmaster_delivery.defs.building import build, wave_of
from flowmaster_delivery.model.catalog import Catalog, GateName
from flowmaster_delivery.policy.liveness import expected_sensors
from flowmaster_delivery.settings import Settings
from tests.builders import a_catalog, a_service


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(None)


@pytest.fixture(scope="module")
def definitions(catalog: Catalog) -> Definitions:
    return build(Settings.from_environ({}), catalog)


def test_loading_needs_no_secret_and_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = defs()
    assert isinstance(loaded, Definitions)
    Definitions.validate_loadable(loaded)


def test_the_shipped_catalog_has_four_assets_for_each_of_29_services(
    definitions: Definitions, catalog: Catalog
) -> None:
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    chapters = ("image", "promotion", "deployment", "health")
    assert len(catalog.services) == 29
    assert {AssetKey([s, c]) for s in catalog.services for c in chapters} <= keys
    records = keys - {AssetKey([s, c]) for s in catalog.services for c in chapters}
    assert records == {
        AssetKey(["holds"]),
        AssetKey(["incidents"]),
        *(AssetKey(["release", repository]) for repository in catalog.repositories),
        *(AssetKey([service, "verified"]) for service in catalog.services),
    }


def test_environments_are_the_partitions_of_every_asset(
    definitions: Definitions, catalog: Catalog
) -> None:
    graph = definitions.resolve_asset_graph()
    for service in catalog.services:
        partitions = graph.get(AssetKey([service, "deployment"])).partitions_def
        assert partitions is not None
        assert partitions.get_partition_keys() == list(catalog.environments)


def test_every_promotion_has_a_blocking_check_per_gate(
    definitions: Definitions, catalog: Catalog
) -> None:
    graph = definitions.resolve_asset_graph()
    for service in catalog.services:
        keys = graph.get_check_keys_for_assets({AssetKey([service, "promotion"])})
        assert {key.name for key in keys} == {gate.value for gate in GateName}
        assert all(graph.get_check_spec(key).blocking for key in keys)


def test_a_service_goes_from_image_to_health(definitions: Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def parents(chapter: str) -> set[str]:
        keys = graph.get(AssetKey(["api-gateway", chapter])).parent_keys
        return {key.to_user_string() for key in keys}

    assert parents("promotion") == {"api-gateway/image"}
    assert parents("deployment") == {"api-gateway/promotion"}
    assert parents("health") == {"api-gateway/deployment"}


def test_an_asset_says_whose_it_is_and_where_its_source_stands(
    definitions: Definitions, catalog: Catalog
) -> None:
    spec = definitions.resolve_asset_graph().get(AssetKey(["api-gateway", "deployment"]))
    service = catalog.service("api-gateway")
    assert len(spec.owners) == len(service.owners) > 0
    assert spec.group_name == "platform_deployment"
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert reference.url.endswith(f"/-/tree/main/{service.path}")


def test_the_sensors_are_there_and_run_by_themselves(definitions: Definitions) -> None:
    sensors = {sensor.name: sensor for sensor in definitions.get_repository_def().sensor_defs}
    assert set(sensors) == {"intake", "health_watch", "ship", "back_to_gitlab"}
    assert set(sensors) == set(expected_sensors(watch_apart=False))
    assert all(sensor.default_status.value == "RUNNING" for sensor in sensors.values())


def test_a_watch_that_runs_apart_leaves_its_sensor_out(catalog: Catalog) -> None:
    made = build(Settings.from_environ({"FLOWMASTER_WATCH_APART": "1"}), catalog)
    names = {sensor.name for sensor in made.get_repository_def().sensor_defs}
    assert names == {"intake", "ship", "back_to_gitlab"}
    assert names == set(expected_sensors(watch_apart=True))


def test_the_servers_can_take_it_over_the_wire(definitions: Definitions) -> None:
    snap = RepositorySnap.from_def(definitions.get_repository_def())
    assert len(snap.asset_nodes) > 29 * 4


def a_run(**form: object) -> DagsterRun:
    config = {"resources": {"form": {"config": form}}}
    return DagsterRun("__ASSET_JOB", make_new_run_id(), run_config=config)


def test_waves_follow_dependencies_and_those_of_a_rollback_go_the_other_way() -> None:
    services = [a_service("api", depends_on=("auth",)), a_service("auth"), a_service("web")]
    waves = wave_of(a_catalog(services=services))
    steps = frozenset(
        {"api__deployment", "api__health", "auth__deployment", "auth__health", "api__promotion"}
    )
    assert waves(a_run(), steps) == {
        "api__promotion": -1,
        "auth__deployment": 0,
        "auth__health": 0,
        "api__deployment": 1,
        "api__health": 1,
    }
    assert waves(a_run(rollback_to="previous"), steps - {"api__promotion"}) == {
        "api__deployment": 0,
        "api__health": 0,
        "auth__deployment": 1,
        "auth__health": 1,
    }
