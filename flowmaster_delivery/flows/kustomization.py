"""The narrow part of kustomize that the platform understands; everything else is refused in words.

`resources` (files and folders), `namespace`, `labels` without selectors, `images`.
Source of the form: kustomize.config.k8s.io/v1beta1, Kustomization.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from posixpath import join, normpath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flowmaster_delivery.model.errors import Malformed, Refused

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
UNDERSTOOD = frozenset({"apiVersion", "kind", "resources", "namespace", "labels", "images"})
DEEPEST = 8
"""Folders that may refer to each other in a row."""

MOST_VALUES = 100_000

Manifest = dict[str, Any]


def build(files: Mapping[str, bytes], namespace: str) -> tuple[Manifest, ...]:
    """The manifests of a folder, for one namespace. `files` are paths within it.

    Raise Refused for what is not understood or goes to another namespace, Malformed for no YAML.
    """
    return tuple(_folder(files, "", namespace, DEEPEST))


def _folder(
    files: Mapping[str, bytes], folder: str, namespace: str, depth: int
) -> Iterator[Manifest]:
    where = folder or "the folder"
    name = next((join(folder, n) for n in NAMES if join(folder, n) in files), None)
    if name is None:
        raise Refused(f"{where} has no kustomization.yaml; add one that lists its resources")
    if depth == 0:
        raise Refused(f"{where} is {DEEPEST} folders deep; put its resources nearer")
    plan = _plan(files[name], name, namespace)
    for resource in plan.get("resources") or ():
        for manifest in _resource(files, folder, str(resource), namespace, depth):
            yield _changed(manifest, plan)


def _plan(content: bytes, name: str, namespace: str) -> Manifest:
    documents = list(_documents(content, name))
    plan = documents[0] if len(documents) == 1 else {}
    unknown = sorted(plan.keys() - UNDERSTOOD)
    if not plan or unknown:
        what = f"uses {', '.join(unknown)}" if unknown else "is no Kustomization"
        known = ", ".join(sorted(UNDERSTOOD - {"apiVersion", "kind"}))
        raise Refused(f"{name} {what}; the platform understands {known}")
    if plan.get("namespace", namespace) != namespace:
        raise Refused(
            f"{name} is for namespace {plan['namespace']}, the environment's is {namespace}; "
            "leave the namespace out"
        )
    for label in plan.get("labels") or ():
        if set(label) - {"pairs", "includeSelectors"} or label.get("includeSelectors"):
            raise Refused(f"{name}: labels are understood only as `pairs`, without selectors")
    return plan


def _resource(
    files: Mapping[str, bytes], folder: str, resource: str, namespace: str, depth: int
) -> Iterator[Manifest]:
    path = normpath(join(folder, resource))
    if "://" in resource or path.startswith(("/", "..")):
        raise Refused(f"resource {resource} is outside of the service's folder; copy it into it")
    if path in files:
        yield from _documents(files[path], path)
    else:
        yield from _folder(files, "" if path == "." else path, namespace, depth - 1)


def _documents(content: bytes, name: str) -> Iterator[Manifest]:
    try:
        for document in YAML(typ="safe").load_all(content):
            if document is None:
                continue
            if not isinstance(document, dict):
                raise Malformed(f"{name} holds YAML that is no object")
            if _size(document) > MOST_VALUES:
                raise Malformed(f"{name} has more than {MOST_VALUES} values; write out its aliases")
            yield document
    except YAMLError as error:
        raise Malformed(f"{name} is no YAML: {error}") from error


def _size(document: object) -> int:
    """Values in a document, each as often as it is referred to; no further than they may be many.

    Whoever may push writes it: aliases of aliases make a kilobyte endless.
    """
    waiting, count = [document], 0
    while waiting and count <= MOST_VALUES:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return count


def _changed(manifest: Manifest, plan: Manifest) -> Manifest:
    """A copy with the plan's labels and images."""
    made = deepcopy(manifest)
    for label in plan.get("labels") or ():
        made.setdefault("metadata", {}).setdefault("labels", {}).update(label.get("pairs") or {})
    for image in plan.get("images") or ():
        for container in _containers(made):
            container["image"] = _image(str(container.get("image", "")), image)
    return made


def _containers(manifest: Manifest) -> Iterator[Manifest]:
    spec = manifest.get("spec") or {}
    pod = ((spec.get("template") or {}).get("spec") or {}) if isinstance(spec, dict) else {}
    for key in ("initContainers", "containers"):
        yield from pod.get(key) or ()


def _image(reference: str, change: Manifest) -> str:
    base, at, _ = reference.partition("@")
    head, colon, last = base.rpartition(":")
    name, suffix = (head, f":{last}") if colon and "/" not in last else (base, "")
    if name != change.get("name"):
        return reference
    if change.get("digest"):
        suffix = f"@{change['digest']}"
    elif change.get("newTag") is not None:
        suffix = f":{change['newTag']}"
    elif at:
        suffix = reference.removeprefix(name)
    return f"{change.get('newName') or name}{suffix}"
