"""The chart as Helm renders it: values in, Kubernetes objects out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "flowmaster-delivery"
CATALOG = (ROOT / "flowmaster_delivery" / "catalogs" / "flowmaster.yaml").read_text("utf-8")
RELEASE, NAMESPACE = "fm", "delivery"
Object = dict[str, Any]

LEAST: dict[str, Any] = {
    "catalog": CATALOG,
    "url": "https://delivery.example.com",
    "secrets": {"name": "flowmaster"},
    "login": {"issuer": "https://gitlab.example.com", "secretName": "flowmaster-login"},
}
"""What an installation must give, and nothing else."""


def with_values(*more: Mapping[str, Any]) -> dict[str, Any]:
    """The least values with these on top; mappings are merged."""
    merged = LEAST
    for values in more:
        merged = _merged(merged, values)
    return merged


def render(*more: Mapping[str, Any]) -> list[Object]:
    """Every object of the release, in no order that means anything."""
    with helm.Chart.load(str(CHART)) as chart:
        files = chart.render(with_values(*more), name=RELEASE, namespace=NAMESPACE)
    read = YAML(typ="safe")
    found = [
        document
        for path, text in files.items()
        if not path.endswith("NOTES.txt")
        for document in read.load_all(text)
    ]
    return [document for document in found if document]


def named(objects: list[Object], kind: str, suffix: str) -> Object:
    """The one object of a kind whose name ends so."""
    [one] = [
        found
        for found in objects
        if found["kind"] == kind and found["metadata"]["name"] == f"{full_name()}-{suffix}"
    ]
    return one


def full_name() -> str:
    return f"{RELEASE}-flowmaster-delivery"


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **one,
        **{
            key: _merged(one[key], value)
            if isinstance(value, Mapping) and isinstance(one.get(key), Mapping)
            else value
            for key, value in other.items()
        },
    }
