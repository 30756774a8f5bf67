"""What comes before an upgrade and after the end: with all that it needs, and gone afterwards."""

from __future__ import annotations

from itertools import pairwise

import helm_python as helm
import pytest
from ruamel.yaml import YAML

from tests.helm.charts import CHART, NAMESPACE, RELEASE, Object, full_name, with_values

BROUGHT = ("ConfigMap", "ServiceAccount", "Role", "RoleBinding")


@pytest.fixture(scope="module")
def hooks() -> dict[str, list[Object]]:
    """Objects by the event that they are for."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(with_values(), name=RELEASE, namespace=NAMESPACE)
    read = YAML(typ="safe")
    found: dict[str, list[Object]] = {}
    for path, text in files.items():
        for one in read.load_all(text) if not path.endswith("NOTES.txt") else ():
            event = (one or {}).get("metadata", {}).get("annotations", {}).get("helm.sh/hook")
            found.setdefault(event, []).append(one)
    return found


@pytest.mark.parametrize("event", ["pre-upgrade", "post-delete"])
def test_what_a_hook_needs_comes_before_it_and_goes_after_it(
    hooks: dict[str, list[Object]], event: str
) -> None:
    for one in hooks[event]:
        notes = one["metadata"]["annotations"]
        assert "hook-succeeded" in notes["helm.sh/hook-delete-policy"]
        assert int(notes.get("helm.sh/hook-weight", "0")) == (-5 if one["kind"] in BROUGHT else 0)


def test_the_end_needs_nothing_of_the_release_which_is_gone_by_then(
    hooks: dict[str, list[Object]],
) -> None:
    own = {(one["kind"], one["metadata"]["name"]) for one in hooks["post-delete"]}
    [job] = [one for one in hooks["post-delete"] if one["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    assert ("ServiceAccount", pod["serviceAccountName"]) in own
    named = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert {("ConfigMap", name) for name in named} <= own


def test_the_end_may_remove_leases_of_its_environments_and_jobs_of_its_own(
    hooks: dict[str, list[Object]],
) -> None:
    roles = {
        o["metadata"]["namespace"]: o["rules"] for o in hooks["post-delete"] if o["kind"] == "Role"
    }
    assert roles.keys() == {
        NAMESPACE,
        *(f"flowmaster-{e}" for e in ("dev", "staging", "production")),
    }
    doctors = [f"{full_name()}-doctor"]
    doctors += [f"{doctors[0]}-{e}" for e in ("dev", "production", "staging")]
    assert roles[NAMESPACE] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"], "resourceNames": doctors},
    ]
    [forgetting] = [
        rule
        for rule in roles["flowmaster-production"]
        if "leases" in rule["resources"] and "delete" in rule["verbs"]
    ]
    assert "flowmaster-api-gateway" in forgetting["resourceNames"]
    assert "flowmaster-watch.production" in forgetting["resourceNames"]


def test_the_end_takes_the_pods_of_the_tests_with_it(hooks: dict[str, list[Object]]) -> None:
    [job] = [one for one in hooks["post-delete"] if one["kind"] == "Job"]
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    named = {word for before, word in pairwise(command) if before == "--pod"}
    assert named == {o["metadata"]["name"] for o in hooks["test"] if o["kind"] == "Pod"}


def test_the_account_of_the_end_is_not_there_before(hooks: dict[str, list[Object]]) -> None:
    lasting = [o["metadata"]["name"] for o in hooks[None] if o["kind"] == "ServiceAccount"]
    assert f"{full_name()}-uninstall" not in lasting
