"""The part of kustomize that is understood, and the words for the rest."""

from __future__ import annotations

import pytest

from flowmaster_delivery.flows.kustomization import build
from flowmaster_delivery.model.errors import Malformed, Refused

ONE = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"
TWO = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n---\n" + ONE
WEB = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec: {containers: [{name: a, image: "reg:5000/grafana:1"}, {name: b, image: other}]}
"""


def names(files: dict[str, bytes]) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in build(files, "staging")]


def test_resources_are_files_and_folders_in_their_order() -> None:
    files = {
        "kustomization.yaml": b"resources: [two.yaml, sub]",
        "two.yaml": TWO,
        "sub/kustomization.yml": b"resources: [./web.yaml]",
        "sub/web.yaml": WEB,
    }
    assert names(files) == ["two", "one", "web"]


def test_a_document_that_aliases_make_endless_is_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairs]
    files = {"kustomization.yaml": b"resources: [a.yaml]", "a.yaml": "\n".join(lines).encode()}
    with pytest.raises(Malformed, match="more than 100000 values; write out its aliases"):
        build(files, "staging")
    files["a.yaml"] = b"a: &a {b: *a}"
    with pytest.raises(Malformed, match=r"a\.yaml"):
        build(files, "staging")


def test_labels_and_images_are_changed_in_a_copy() -> None:
    plan = b"""resources: [web.yaml]
labels: [{pairs: {team: devops}}]
images: [{name: "reg:5000/grafana", newTag: "2"}, {name: other, newName: mine, digest: "sha256:aa"}]
"""
    [web] = build({"kustomization.yaml": plan, "web.yaml": WEB}, "staging")
    images = [c["image"] for c in web["spec"]["template"]["spec"]["containers"]]
    assert images == ["reg:5000/grafana:2", "mine@sha256:aa"]
    assert web["metadata"]["labels"] == {"team": "devops"}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (b"resources: [one.yaml]\nnamePrefix: x-", "uses namePrefix"),
        (b"resources: [one.yaml]\npatches: []\nhelmCharts: []", "uses helmCharts, patches"),
        (b"resources: [one.yaml]\nnamespace: production", "for namespace production"),
        (b"resources: [one.yaml]\nlabels: [{pairs: {a: b}, includeSelectors: true}]", "selectors"),
        (b"resources: [../one.yaml]", "outside of the service's folder"),
        (b"resources: [https://example.test/x.yaml]", "outside of the service's folder"),
        (b"resources: [absent]", "absent has no kustomization"),
        (b"{}", "is no Kustomization"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(plan: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        build({"kustomization.yaml": plan, "one.yaml": ONE}, "staging")


def test_folders_that_refer_to_each_other_end() -> None:
    with pytest.raises(Refused, match="folders deep"):
        build({"kustomization.yaml": b"resources: [.]"}, "staging")


def test_a_folder_without_a_kustomization_is_refused() -> None:
    with pytest.raises(Refused, match=r"no kustomization\.yaml"):
        build({"one.yaml": ONE}, "staging")


@pytest.mark.parametrize("content", [b"a: [", b"- 1\n", b"!!python/object:os.system {}"])
def test_what_is_no_yaml_object_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed, match=r"one\.yaml"):
        build({"kustomization.yaml": b"resources: [one.yaml]", "one.yaml": content}, "staging")
