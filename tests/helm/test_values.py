"""What values may be, and that a wrong one is named by its key before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import helm_python as helm
import pytest
from ruamel.yaml import YAML

from tests.helm.charts import CHART, with_values

WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "a key that nobody reads": ({"sever": {}}, "sever"),
    "a key of a part that nobody reads": ({"runs": {"patience": 3}}, "patience"),
    "a secret in place of its name": ({"secrets": {"name": "glpat-Secret!"}}, "secrets/name"),
    "no Secret": ({"secrets": {"name": ""}}, "secrets/name"),
    "a login without issuer": ({"login": {"issuer": ""}}, "login/issuer"),
    "a login without the address of the platform": ({"url": ""}, "url"),
    "a login without its Secret": ({"login": {"secretName": ""}}, "login/secretName"),
    "an issuer that is no address": ({"login": {"issuer": "gitlab.example"}}, "login/issuer"),
    "an address with a path": ({"url": "https://example.com/delivery"}, "url"),
    "a digest that is none": ({"image": {"digest": "sha256:1234"}}, "image/digest"),
    "a database elsewhere without its host": ({"postgresql": {"enabled": False}}, "host"),
    "a port that is none": ({"postgresql": {"port": 70000}}, "postgresql/port"),
    "another way to find services": ({"serviceDiscovery": "consul"}, "serviceDiscovery"),
    "no run at a time": ({"runs": {"maxConcurrent": 0}}, "maxConcurrent"),
    "a schedule that is none": ({"retention": {"schedule": "at night"}}, "schedule"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_named(what: str) -> None:
    values, key = WRONG[what]
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmValuesError) as error:
        chart.validate_schema(with_values(values))
    assert key in str(error.value)


def test_every_value_stands_in_the_schema_and_the_other_way_round() -> None:
    schema = YAML(typ="safe").load((CHART / "values.schema.json").read_text("utf-8"))
    values = YAML(typ="safe").load((CHART / "values.yaml").read_text("utf-8"))
    described = schema["properties"].keys() - {"global"}
    assert described == values.keys()
    for key, value in values.items():
        inner = schema["properties"][key].get("properties")
        if inner and isinstance(value, dict):
            assert inner.keys() == value.keys(), key
