"""The chart's Roles allow what policy/rights.py says, act for act: not one more, not one less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.model.catalog import Catalog
from flowmaster_delivery.model.rights import Act
from flowmaster_delivery.policy.rights import (
    acts_of,
    launching_rights,
    rights_of,
    viewing_rights,
)
from tests.helm.charts import CATALOG, NAMESPACE, Object, full_name, named, render

SMALL = """
name: small
forge_url: https://gitlab.example.com
registry_url: https://registry.example.com
repositories: {r: {project: g/r}}
environments:
  live: {namespace: live-ns, ref: {branch: main}}
services:
  api: {repository: r, path: api, owners: [team]}
"""
OVERLAYS = {
    "nothing": "",
    "canary": "environments: {live: {metrics: {url: 'http://p'}, canary: {error_rate: 1%}}}",
    "canary by routes": "environments: {live: {metrics: {url: 'http://p'}, "
    "canary: {error_rate: 1%, traffic: route}}}",
    "canary switched off": "environments: {live: {metrics: {url: 'http://p'}, "
    "canary: {error_rate: 1%, enabled: false}}}",
    "canary of one service": "services: {api: {safeguards: {live: {canary: {error_rate: 1%}}}}}\n"
    "environments: {live: {metrics: {url: 'http://p'}}}",
    "container tests": "environments: {live: {validation: [health, smoke]}}\n"
    "services: {api: {smoke: [{name: t, image: 'r.example/t@sha256:" + 64 * "0" + "'}]}}",
    "container tests that nobody asks for": "environments: {live: {validation: [health]}}\n"
    "services: {api: {smoke: [{name: t, image: 'r.example/t@sha256:" + 64 * "0" + "'}]}}",
    "a migration": "services: {schema: {kind: job, repository: r, path: s, workload: migrate}}",
    "manifests": "services: {m: {kind: manifests, repository: r, path: m, "
    "applies: [configmaps, prometheusrules.monitoring.coreos.com]}}",
    "an artifact": "services: {app: {kind: artifact, repository: r, path: app}}",
    "another workload": "services: {api: {workload: api-v2}}",
}


@pytest.mark.parametrize("switched", OVERLAYS)
def test_an_environments_role_is_what_its_catalog_needs(switched: str, tmp_path: Path) -> None:
    overlay = OVERLAYS[switched]
    catalog = _read(SMALL, overlay, tmp_path)
    objects = render({"catalog": SMALL, "overlay": overlay})
    _is_held(objects, catalog)


def test_the_shipped_catalogs_roles_are_what_it_needs(tmp_path: Path) -> None:
    _is_held(render(), _read(CATALOG, "", tmp_path))


def test_an_environment_on_another_cluster_has_no_role_here() -> None:
    elsewhere = {"environments": {"production": {"kubeconfigSecret": "their-cluster"}}}
    roles = {o["metadata"]["name"] for o in render(elsewhere) if o["kind"] == "Role"}
    assert not [name for name in roles if name.endswith("-production")]
    assert f"{full_name()}-env-staging" in roles


def test_dagsters_own_role_is_what_launching_needs_and_in_its_own_namespace() -> None:
    role = named(render(), "Role", "dagster")
    assert set(_acts(role)) == acts_of(launching_rights())
    assert role["metadata"].get("namespace", NAMESPACE) == NAMESPACE


def test_whoever_removes_what_is_old_may_see_and_remove_jobs_alone() -> None:
    role = named(render(), "Role", "retention")
    assert {str(act) for act in _acts(role)} == {"list jobs.batch", "delete jobs.batch"}


def test_nothing_of_the_chart_is_of_the_whole_cluster_or_of_everything() -> None:
    objects = render()
    assert not [o for o in objects if o["kind"].startswith("Cluster")]
    rules = [rule for o in objects if o["kind"] == "Role" for rule in o["rules"]]
    assert not [r for r in rules if "*" in (*r["apiGroups"], *r["resources"], *r["verbs"])]
    assert not [r for r in rules if "secrets" in r["resources"]]


def _is_held(objects: list[Object], catalog: Catalog) -> None:
    for environment in catalog.environments.values():
        role = named(objects, "Role", f"env-{environment.name}")
        assert set(_acts(role)) == acts_of(rights_of(environment, catalog)), environment.name
        assert role["metadata"]["namespace"] == environment.namespace
        binding = named(objects, "RoleBinding", f"env-{environment.name}")
        assert [s["name"] for s in binding["subjects"]] == [f"{full_name()}-env-{environment.name}"]
        view = named(objects, "Role", f"view-{environment.name}")
        assert set(_acts(view)) == acts_of(viewing_rights())


def _acts(role: Object) -> Iterator[Act]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Act(group, resource, verb, name)


def _read(catalog: str, overlay: str, folder: Path) -> Catalog:
    files = [folder / "catalog.yaml", folder / "overlay.yaml"]
    files[0].write_text(catalog, "utf-8")
    files[1].write_text(overlay or "{}", "utf-8")
    return load_catalog(*files)
