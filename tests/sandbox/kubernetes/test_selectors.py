"""Label and field selectors."""

from __future__ import annotations

import pytest

from flowmaster_delivery.sandbox.kubernetes.kinds import DEPLOYMENTS, EVENTS, PODS
from flowmaster_delivery.sandbox.kubernetes.selectors import (
    as_text,
    field_selector,
    label_selector,
    matches,
)
from flowmaster_delivery.sandbox.kubernetes.statuses import ApiError

LABELS = {"app": "web", "tier": "front", "pod-template-hash": "abc"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app=api", False),
        ("app!=api", True),
        ("nothing!=x", True),
        ("app in (api, web)", True),
        ("app notin (api,web)", False),
        ("nothing notin (x)", True),
        ("tier", True),
        ("!tier", False),
        ("!nothing", True),
        ("app in (api,web),!canary,tier", True),
    ],
)
def test_a_label_selector_means_what_kubernetes_means(text: str, *, expected: bool) -> None:
    assert label_selector(text)(LABELS) is expected


@pytest.mark.parametrize("text", ["a b c", "app in web", "=x", "app in (a", "a=b=c"])
def test_a_label_selector_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="unable to parse requirement"):
        label_selector(text)


def test_expressions_of_controllers_are_understood() -> None:
    expressions = [
        {"key": "app", "operator": "In", "values": ["web"]},
        {"key": "canary", "operator": "DoesNotExist"},
        {"key": "tier", "operator": "Exists"},
        {"key": "tier", "operator": "NotIn", "values": ["back"]},
    ]
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    assert matches(selector, LABELS)
    assert not matches(selector, {**LABELS, "canary": "yes"})
    assert as_text(selector) == "app=web,app in (web),!canary,tier,tier notin (back)"


def test_fields_are_compared_where_the_kind_offers_them() -> None:
    pod = {"metadata": {"name": "a", "namespace": "dev"}, "status": {"phase": "Running"}}
    assert field_selector(PODS, "metadata.name=a,status.phase!=Failed")(pod)
    assert not field_selector(PODS, "status.phase=Failed")(pod)
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"uid": "u"},
        "source": {"component": "k"},
    }
    assert field_selector(EVENTS, "involvedObject.uid==u,source=k")(event)


@pytest.mark.parametrize("text", ["spec.replicas=1", "metadata.foo=x", "name"])
def test_a_field_that_is_not_offered_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        field_selector(DEPLOYMENTS, text)
    assert refused.value.code == 400
