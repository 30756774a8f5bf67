"""`helm test`: the doctor stands where the server stands, and in each environment's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from click.testing import CliRunner

from flowmaster_delivery.cli.root import main
from tests.helm.charts import Object, full_name, render

ELSEWHERE = {"environments": {"production": {"kubeconfigSecret": "their-cluster"}}}
ENVIRONMENTS = ("dev", "staging", "production")


def doctors(*values: Mapping[str, Any]) -> dict[str, Object]:
    """By what follows the release's name."""
    return {
        found["metadata"]["name"].removeprefix(f"{full_name()}-"): found["spec"]
        for found in render(*values)
        if found["kind"] == "Pod" and "doctor" in found["metadata"]["name"]
    }


def command(spec: Object) -> list[str]:
    found: list[str] = spec["containers"][0]["command"]
    return found


def account(spec: Object) -> str:
    return str(spec["serviceAccountName"]).removeprefix(f"{full_name()}-")


def test_the_server_views_every_environment_and_each_is_changed_by_its_own_account() -> None:
    found = doctors()
    assert {name: account(spec) for name, spec in found.items()} == {
        "doctor": "server",
        **{f"doctor-{name}": f"env-{name}" for name in ENVIRONMENTS},
    }
    assert "--rights views" in " ".join(command(found["doctor"]))
    assert "--environment dev" in " ".join(command(found["doctor-dev"]))
    assert "--rights" not in command(found["doctor-dev"])


def test_every_command_is_one_that_the_doctor_takes() -> None:
    for spec in (*doctors().values(), *doctors(ELSEWHERE).values()):
        program, *words = command(spec)
        assert program == "flowmaster"
        assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0


def test_an_environment_on_another_cluster_is_looked_at_with_its_own_credentials() -> None:
    found = doctors(ELSEWHERE)
    own = found["doctor-production"]
    assert (account(own), own["automountServiceAccountToken"]) == ("none", False)
    volumes = {v["name"]: v for v in own["volumes"]}
    assert volumes["cluster"]["secret"]["secretName"] == "their-cluster"
    variables = {v["name"]: v["value"] for v in own["containers"][0]["env"]}
    assert variables["FLOWMASTER_KUBECONFIG"] == "/etc/flowmaster/cluster/kubeconfig"
    assert "production" not in command(found["doctor"])
    assert "cluster" not in {v["name"] for v in found["doctor-dev"]["volumes"]}


def test_where_no_environment_is_on_this_cluster_the_server_looks_at_none() -> None:
    away = {"environments": {name: {"kubeconfigSecret": "s"} for name in ENVIRONMENTS}}
    words = command(doctors(away)["doctor"])
    assert "cluster" not in words[words.index("--only") + 1].split(",")
