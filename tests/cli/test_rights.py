"""`flowmaster rights`: Roles as Kubernetes takes them, from the catalog alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from flowmaster_delivery.adapters.yaml_catalog import load_catalog
from flowmaster_delivery.cli.root import main
from flowmaster_delivery.cli.session import Session
from flowmaster_delivery.policy.rights import rights_of
from flowmaster_delivery.settings import Settings


def run(folder: Path, *words: str) -> Result:
    session = Session(Settings.from_environ({"DAGSTER_HOME": str(folder)}))
    return CliRunner().invoke(main, ["rights", *words], obj=session)


def test_each_environment_gets_a_role_to_change_and_a_role_to_look(tmp_path: Path) -> None:
    found = run(tmp_path)
    roles = list(YAML(typ="safe").load_all(found.stdout))
    catalog = load_catalog(None)
    assert [(r["metadata"]["namespace"], r["metadata"]["name"]) for r in roles] == [
        (place.namespace, name)
        for place in catalog.environments.values()
        for name in ("flowmaster-changes", "flowmaster-views")
    ]


def test_a_role_has_the_rules_of_its_rights(tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(run(tmp_path, "production", "--json").stdout)
    catalog = load_catalog(None)
    given = rights_of(catalog.environment("production"), catalog)
    changing, _ = found["items"]
    assert [
        (r["apiGroups"], r["resources"], r.get("resourceNames", []), r["verbs"])
        for r in changing["rules"]
    ] == [([r.group], [r.resource], list(r.names), list(r.verbs)) for r in given]


def test_from_outside_pods_are_asked_through_the_api_server(tmp_path: Path) -> None:
    inside, outside = run(tmp_path, "dev").stdout, run(tmp_path, "dev", "--outside").stdout
    assert "pods/proxy" not in inside
    assert "pods/proxy" in outside


def test_an_environment_that_nobody_has_is_named(tmp_path: Path) -> None:
    found = run(tmp_path, "stagin")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "did you mean 'staging'?" in found.stderr
