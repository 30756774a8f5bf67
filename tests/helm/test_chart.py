"""The chart renders for what an installation must give, and says what it wants where it must."""

from __future__ import annotations

import helm_python as helm
import pytest

from tests.helm.charts import CHART, LEAST, named, render


def test_the_chart_is_without_fault_to_the_linter() -> None:
    assert helm.lint(str(CHART), LEAST, strict=True)["errors"] == []


def test_the_least_values_make_every_part() -> None:
    parts = {o["metadata"]["name"].rpartition("delivery-")[2] for o in _of("Deployment")}
    watches = {"watch-dev", "watch-staging", "watch-production"}
    assert parts == {"code", "daemon", "server", "view", "webserver"} | watches
    assert [o["metadata"]["name"] for o in _of("StatefulSet")] == [
        "fm-flowmaster-delivery-postgresql"
    ]


def test_without_a_catalog_it_says_how_one_is_given() -> None:
    with pytest.raises(helm.HelmError, match="--set-file catalog=my-catalog"):
        render({"catalog": ""})


def test_an_environment_that_the_catalog_has_not_is_named_with_those_it_has() -> None:
    with pytest.raises(helm.HelmError, match="no environment prod; it has dev, production"):
        render({"environments": {"prod": {"smokeSecret": "s"}}})


def test_the_webserver_behind_the_login_listens_on_loopback_only() -> None:
    pod = named(render(), "Deployment", "webserver")["spec"]["template"]["spec"]
    login, dagster = pod["containers"]
    assert dagster["command"][:4] == ["flowmaster", "webserver", "--host", "127.0.0.1"]
    assert "ports" not in dagster
    assert "--upstream=http://127.0.0.1:3000" in login["args"]


def _of(kind: str) -> list[dict]:  # type: ignore[type-arg]
    return [found for found in render() if found["kind"] == kind]
