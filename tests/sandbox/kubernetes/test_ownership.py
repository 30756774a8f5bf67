"""managedFields: the last writer of a field is its owner."""

from __future__ import annotations

from typing import Any

from flowmaster_delivery.sandbox.kubernetes.kinds import DEPLOYMENTS, Object
from flowmaster_delivery.sandbox.kubernetes.patching import STRATEGIC, patched
from tests.sandbox.kubernetes.lab import Lab, deployment

CONTAINERS = ("f:spec", "f:template", "f:spec", "f:containers")


def owners_of_image(item: Object, container: str) -> list[str]:
    owners = []
    for entry in item["metadata"]["managedFields"]:
        fields: Any = entry["fieldsV1"]
        for step in (*CONTAINERS, f'k:{{"name":"{container}"}}'):
            fields = fields.get(step, {})
        if "f:image" in fields:
            owners.append(entry["manager"])
    return owners


def write(lab: Lab, manager: str, image: str) -> Object:
    containers = [{"name": "web", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    item = patched(STRATEGIC, lab.deployment(), patch)
    return lab.resources.update(DEPLOYMENTS, item, manager=manager)


def test_who_creates_an_object_owns_its_fields(lab: Lab) -> None:
    made = lab.resources.create(DEPLOYMENTS, deployment(), manager="helm")
    assert owners_of_image(made, "web") == owners_of_image(made, "proxy") == ["helm"]


def test_who_changes_an_image_takes_it_over_and_nothing_else(lab: Lab) -> None:
    lab.resources.create(DEPLOYMENTS, deployment(), manager="helm")
    item = write(lab, "kubectl-set", "shop/web:2")
    assert owners_of_image(item, "web") == ["kubectl-set"]
    assert owners_of_image(item, "proxy") == ["helm"]
    item = write(lab, "helm", "shop/web:3")
    assert owners_of_image(item, "web") == ["helm"]
    assert [e["manager"] for e in item["metadata"]["managedFields"]] == ["helm"]


def test_a_write_that_changes_nothing_takes_nothing_over(lab: Lab) -> None:
    lab.resources.create(DEPLOYMENTS, deployment(), manager="helm")
    version = lab.deployment()["metadata"]["resourceVersion"]
    item = write(lab, "kubectl-set", "shop/web:1")
    assert owners_of_image(item, "web") == ["helm"]
    assert item["metadata"]["resourceVersion"] == version


def test_controllers_leave_the_owners_as_they_are(lab: Lab) -> None:
    lab.resources.create(DEPLOYMENTS, deployment(), manager="helm")
    lab.advance(2)
    assert lab.deployment()["status"]["readyReplicas"] == 2
    assert owners_of_image(lab.deployment(), "web") == ["helm"]
